"""What is told of one prediction: the same on the node and at the hub, as JSON in camelCase."""

import msgspec

from skerry_core.features.values import Value
from skerry_core.lineage.record import TensorRecord


class Told(msgspec.Struct, frozen=True, rename="camel"):
    """Base of all that is told."""


class Missing(Told, frozen=True):
    """Records of the stream's log, among those that the windows reach over, that can't be looked at, and why."""

    reason: str
    records: int


class WindowEvent(Told, frozen=True):
    """An event that counts: its id (`site/node/epoch/seq`), its times (RFC 3339), and the features it counts in."""

    id: str
    time: str
    received: str
    features: tuple[str, ...]


class FeatureTold(Told, frozen=True):
    """One feature as it was served.

    `status` and `age_seconds` are as recorded. `counted` events were in its window then; `found` of them are still kept
    here. `value` is what the engine makes of these, and is told only if that are all.
    """

    name: str
    status: str
    age_seconds: float | None = None
    aggregation: str = ""
    window_start: str = ""
    window_end: str = ""
    counted: int | None = None
    found: int | None = None
    value: Value | None = None


class InputTold(Told, frozen=True):
    """A model input that was filled from a version of a feature set, with the events behind it, newest first.

    `schema_version` is that of the code that normalizes and aggregates; None if it is neither recorded nor to be had.
    `applied` is the newest event that was in the features' state. At most MAX_EVENTS are listed of `events_found`.
    """

    input: str
    set: str
    version: str
    digest: str
    applied: str
    since: str
    until: str = ""
    schema_version: int | None = None
    stream: str = ""
    features: tuple[FeatureTold, ...] = ()
    events: tuple[WindowEvent, ...] = ()
    events_found: int = 0
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()


class PairTold(Told, frozen=True):
    """The other side of a canary request; see PairRecord."""

    champion: str
    challenger: str
    champion_latency_seconds: float
    challenger_latency_seconds: float | None
    rows: int
    disagreements: int
    error: str


class TrainingTold(Told, frozen=True):
    """What the release was trained on: the round, when that was (RFC 3339), and the files of rows by digest."""

    round: str
    at: str
    rows: tuple[str, ...] = ()


class PayloadTold(Told, frozen=True):
    """What the model saw, features among it, and what it gave, by tensor, as far as privacy rules left it."""

    inputs: dict[str, TensorRecord]
    outputs: dict[str, TensorRecord]


class Explanation(Told, frozen=True):
    """One prediction, down to the events in its features' windows. `by` is where it was looked up: node or hub.

    `payload` is there if the request was drawn to be recorded with inputs and outputs; `inputs` are those that were
    filled from features.
    """

    id: str
    by: str
    time: str
    request: str
    namespace: str
    model: str
    version: str
    release: str
    variant: str
    latency_seconds: float
    rows: int
    runtime: str = ""
    preprocessing_version: str = ""
    model_created: str = ""
    training: TrainingTold | None = None
    entity: dict[str, str] = {}
    given: tuple[str, ...] = ()
    inputs: tuple[InputTold, ...] = ()
    pair: PairTold | None = None
    payload: PayloadTold | None = None
    notes: tuple[str, ...] = ()
