"""What is always written of an answered request, and the id by which it is found again."""

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from skerry_core.batch.contents import MAX_SEQ
from skerry_core.errors import UserMustActError

MAX_ID = 512
_PARTS = 4


@dataclass(frozen=True, slots=True)
class RecordId:
    """A record's identity wherever it is: number `seq` of the log `epoch` on a node. As text, `site/node/epoch/seq`."""

    site: str
    node: str
    epoch: str
    seq: int

    @classmethod
    def parse(cls, text: str) -> "RecordId":
        """UserMustActError `IdInvalid` for what is none."""
        parts = text.split("/") if len(text) <= MAX_ID else []
        if len(parts) != _PARTS or not all(parts) or not (parts[3].isascii() and parts[3].isdecimal()):
            raise UserMustActError("IdInvalid", f"{text[:100]!r} is no prediction id: those are SITE/NODE/EPOCH/NUMBER")
        seq = int(parts[3])
        if not 0 < seq <= MAX_SEQ:
            raise UserMustActError("IdInvalid", f"{parts[3]} is no record's number")
        return cls(parts[0], parts[1], parts[2], seq)

    def __str__(self) -> str:
        return f"{self.site}/{self.node}/{self.epoch}/{self.seq}"


class PairRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The other side of a canary request; latencies in seconds, `error` the guardrail that tripped.

    `decided` is what the champion decided where the challenger's answer went out.
    """

    champion: str
    challenger: str
    champion_latency: float
    challenger_latency: float | None = None
    rows: int = 0
    disagreements: int = 0
    error: str = ""
    decided: tuple[float, ...] | None = None


class FeatureLineage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What filled one model input: a version of a feature set, as it was when events up to `seq` were in it.

    `set` is its namespace and name, `digest` the first 12 hex digits of its document's, `epoch` and `seq` name a record
    of its stream's log here. `ages` are in ms, in the order of the manifest's features, None where there was no event;
    `stale` are those that gave their default instead, and `events` how many events counted in each one's window.
    `since` is where the longest window began (µs since 1970). Where a snapshot of another node was taken over and
    windows reach back to it, `adopted` is that node's name and the first 12 hex digits of its digest, `adopted_until`
    when it was made (µs): events that the node took in until then count, too. `schema` is the schema version of the
    set's document, so that of the code that normalized and aggregated; 0 if it isn't recorded.
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
    events: tuple[int, ...] = ()
    adopted: str = ""
    adopted_until: int = 0
    schema: int = 0


Element: TypeAlias = bool | int | float | str | None
"""One of a tensor's values; a text where a privacy rule hashed it, None where one took it out or it was not finite."""


class TensorRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One tensor as a model saw or gave it, `data` in row-major order; what privacy rules took out is as by default."""

    datatype: str = ""
    shape: tuple[int | None, ...] = ()
    data: tuple[Element, ...] | None = None


class Prediction(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answered request: a record of the stream `predictions`, whose time is when the answer went out.

    `digest` is the release whose answer went out; `latency` is the time in seconds its model ran. `entity` is whom the
    request was about, by the names of the feature sets' entities, and `features` what was filled in for it; `given` are
    inputs that the client gave instead. `runtime` names what ran it, with versions, and `preprocessing_version` is
    that of the release's manifest; it is missing where that has none.

    `decided` is what the answer says, row by row, as a label would: the index of the class, or the value. It is missing
    where no single number says it, and for batches of more than 64 rows.

    `inputs` and `outputs` are the tensors of the model whose answer went out, by name, those that were filled from
    features among them: of the requests that are drawn for it alone (`skerry_core.lineage.payload`). `payload` says why
    they are missing though the request was drawn.
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
    runtime: str = ""
    preprocessing_version: str = ""
    decided: tuple[float, ...] | None = None
    inputs: dict[str, TensorRecord] = {}
    outputs: dict[str, TensorRecord] = {}
    payload: str = ""
