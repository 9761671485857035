"""Bodies of the streams that the inference process itself writes; who, where and when are in the record around."""

import msgspec


class PairRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The other side of a canary request; latencies in seconds, `error` the guardrail that tripped."""

    champion: str
    challenger: str
    champion_latency: float
    challenger_latency: float | None = None
    rows: int = 0
    disagreements: int = 0
    error: str = ""


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answered request: a record of the stream `predictions`, whose time is when the answer went out.

    `digest` is the release whose answer went out; `latency` is the time in seconds its model ran.
    """

    request: str
    namespace: str
    model: str
    version: str
    digest: str
    variant: str
    latency: float
    rows: int
    pair: PairRecord | None = None


class Rollback(msgspec.Struct, frozen=True, omit_defaults=True):
    """A release that this node put aside: a record of the stream `rollbacks`. Numbers are the failed metric's."""

    namespace: str
    model: str
    digest: str
    version: str
    reason: str
    metric: str = ""
    observed: float | None = None
    limit: float | None = None
    message: str = ""
