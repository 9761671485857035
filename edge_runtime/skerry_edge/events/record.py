"""What the prediction log keeps of each answer, and how a stored record looks to its readers."""

from dataclasses import dataclass

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
    """One answered request. (site, node, epoch, seq) is its identity everywhere; `at` is RFC 3339 in UTC.

    `digest` is the release whose answer went out; `latency` is the time in seconds its model ran.
    """

    site: str
    node: str
    epoch: str
    seq: int
    request: str
    namespace: str
    model: str
    version: str
    digest: str
    variant: str
    at: str
    latency: float
    rows: int
    pair: PairRecord | None = None


@dataclass(frozen=True)
class Record:
    """One stored record: its sequence number and its JSON, without a newline."""

    seq: int
    line: bytes
