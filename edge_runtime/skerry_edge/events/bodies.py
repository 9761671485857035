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


class FeatureLineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What filled one model input: a version of a feature set, as it was when events up to `seq` were in it.

    `set` is its namespace and name, `digest` the first 12 hex digits of its document's, `epoch` and `seq` name a record
    of its stream's log here. `ages` are in ms, in the order of the manifest's features, None where there was no event;
    `stale` are those that gave their default instead. `since` is where the longest window began (µs since 1970).
    """

    input: str
    set: str
    version: str
    digest: str
    epoch: str
    seq: int
    since: int
    ages: tuple[int | None, ...] = ()
    stale: tuple[str, ...] = ()


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answered request: a record of the stream `predictions`, whose time is when the answer went out.

    `digest` is the release whose answer went out; `latency` is the time in seconds its model ran. `entity` is whom the
    request was about, by the names of the feature sets' entities, and `features` what was filled in for it; `given` are
    inputs that the client gave instead.
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
    entity: dict[str, str] = {}
    features: tuple[FeatureLineage, ...] = ()
    given: tuple[str, ...] = ()


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
