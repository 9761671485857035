"""Events of the stream `labels`: what turned out to be true of a prediction, perhaps days later, perhaps twice.

Data: `prediction`, the id that came back with the answer (`prediction_id`), and `value`, or `values` with one for each
row of the request: the index of the right class where the model gives scores, else the right value itself. `authority`
(0 to 9, 0 unless given) says whose word counts where labels contradict each other; `training: false` forbids training.
"""

import math
from dataclasses import dataclass

import msgspec

from skerry_core.batch.flags import Flags
from skerry_core.errors import UserMustActError
from skerry_core.evidence.decision import MAX_DECIDED
from skerry_core.labels.feedback import MAX_AUTHORITY, Feedback, label
from skerry_core.lineage.record import RecordId
from skerry_edge.ingest.errors import MalformedError

_NO_TIME = Flags.TIME_MISSING | Flags.TIME_SKEWED


@dataclass(frozen=True, slots=True)
class Label:
    """What one event says."""

    prediction: RecordId
    values: tuple[float, ...]
    authority: int
    training: bool

    def feedback(self, time: int, received: int, flags: Flags) -> Feedback:
        """The same for merging, with its record's times (µs): a producer's time counts where it can be true."""
        said = None if flags & Flags.CLOCK_SUSPECT else received if flags & _NO_TIME else time
        return label(self.values, said, self.authority, training=self.training)


class _Data(msgspec.Struct):
    prediction: str
    value: float | None = None
    values: list[float] | None = None
    authority: int = 0
    training: bool = True


class _Body(msgspec.Struct):
    data: _Data


_decode = msgspec.json.Decoder(_Body).decode


def read_label(body: bytes) -> Label:
    """Read a stored event. Raises MalformedError `InvalidLabel`."""
    try:
        data = _decode(body).data
    except (msgspec.DecodeError, ValueError) as error:
        message = (
            'data must be {"prediction": "…", "value": 1} or have "values", and may have "authority" and "training"'
        )
        raise MalformedError("InvalidLabel", message) from error
    if (data.value is None) == (data.values is None):
        raise MalformedError("InvalidLabel", "data must have either value or values")
    values = (data.value,) if data.value is not None else tuple(data.values or ())
    if not 0 < len(values) <= MAX_DECIDED or not all(map(math.isfinite, values)):
        raise MalformedError("InvalidLabel", f"values must be 1 to {MAX_DECIDED} finite numbers, one for each row")
    if not 0 <= data.authority <= MAX_AUTHORITY:
        raise MalformedError("InvalidLabel", f"authority must be 0 to {MAX_AUTHORITY}")
    return Label(_prediction_id(data.prediction), values, data.authority, data.training)


def _prediction_id(text: str) -> RecordId:
    try:
        found = RecordId.parse(text)
    except UserMustActError as error:
        raise MalformedError("InvalidLabel", str(error)) from error
    if str(found) != text:
        raise MalformedError("InvalidLabel", f"the prediction {text[:100]!r} is spelled {str(found)[:100]}")
    return found
