"""Runs models on validation data: proves that they load, and measures how often two of them decide differently."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from skerry_core.bundle.inspection import Inspection, ModelUnsupportedError
from skerry_core.bundle.manifest import DataType, Decision, TensorSpec
from skerry_core.errors import UserMustActError
from skerry_core.evidence.decision import disagreeing_rows, finite_rows

Arrays = Mapping[str, NDArray[Any]]

_BATCH = 256
_ERRORS_ONLY = 3
_NUMPY_TYPES = {
    DataType.BOOL: np.bool_,
    DataType.INT32: np.int32,
    DataType.INT64: np.int64,
    DataType.FP32: np.float32,
    DataType.FP64: np.float64,
}


@dataclass(frozen=True)
class Measured:
    """Rows compared, those on which the two decided differently, and those left out since one gave no finite answer."""

    rows: int
    disagreements: int
    not_finite: int


class ValidationDataError(UserMustActError):
    """The validation data doesn't fit the model; the message says what does."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationDataInvalid", message)


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """Load a model as a site's runtime will, on the CPU; raises ModelUnsupportedError if ONNX Runtime can't."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no base class
        raise ModelUnsupportedError(f"ONNX Runtime {onnxruntime.__version__} can't load the model: {error}") from error


def measure(decision: Decision, inputs: Sequence[TensorSpec], baseline: bytes, model: bytes, data: Arrays) -> Measured:
    """Run both models on the same rows and count disagreements as the runtime will.

    `data` holds one array a model input, [rows, ...]. Rows without a finite answer of both are left out: a model that
    answers NaN on validation data must not be expected to do so in the field.
    """
    rows = _check(data, inputs)
    sessions = open_session(baseline), open_session(model)
    compared = disagreements = not_finite = 0
    for batch in _batches(data, inputs, rows):
        champion, challenger = (_answer(session, decision.output, batch) for session in sessions)
        if champion.shape != challenger.shape or champion.shape[:1] != (len(next(iter(batch.values()))),):
            raise ValidationDataError(
                f"output {decision.output!r} has shape {list(champion.shape)} from the baseline and "
                f"{list(challenger.shape)} from the model: both must answer one row for each row of input"
            )
        usable = finite_rows(champion) & finite_rows(challenger)
        not_finite += int(np.count_nonzero(~usable))
        compared += int(np.count_nonzero(usable))
        disagreements += disagreeing_rows(decision, champion[usable], challenger[usable])
    return Measured(compared, disagreements, not_finite)


def answers(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], model: bytes, data: Arrays
) -> Iterator[tuple[Arrays, Arrays]]:
    """Run a model on all rows: batches of them, each with all outputs by name; raises as `measure`."""
    rows = _check(data, inputs)
    session = open_session(model)
    names = [spec.name for spec in outputs]
    for batch in _batches(data, inputs, rows):
        try:
            yield batch, dict(zip(names, map(np.asarray, session.run(names, dict(batch))), strict=True))
        except Exception as error:  # the runtime's exceptions share no base class
            raise ModelUnsupportedError(f"the model fails on the validation data: {error}") from error


def check_same_interface(model: Inspection, baseline: Inspection) -> None:
    """Raise ModelUnsupportedError unless the same requests can go to both models, and their answers be compared."""
    for what, new, old in (("inputs", model.inputs, baseline.inputs), ("outputs", model.outputs, baseline.outputs)):
        if new != old:
            raise ModelUnsupportedError(
                f"the model's {what} differ from the baseline's ({_described(new)} against {_described(old)}): "
                "clients send both the same requests; publish it as another model"
            )


def _answer(session: onnxruntime.InferenceSession, output: str, batch: Arrays) -> NDArray[Any]:
    try:
        return np.atleast_1d(np.asarray(session.run([output], dict(batch))[0]))
    except Exception as error:  # the runtime's exceptions share no base class
        raise ModelUnsupportedError(f"the model fails on the validation data: {error}") from error


def _check(data: Arrays, inputs: Sequence[TensorSpec]) -> int:
    """The number of rows, if the arrays are the model's inputs."""
    names = {spec.name for spec in inputs}
    if set(data) != names:
        raise ValidationDataError(f"the data holds arrays {sorted(data)}, the model's inputs are {sorted(names)}")
    counts = {len(array) if array.ndim else 0 for array in data.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValidationDataError(f"every array needs the same number of rows, at least one; here {sorted(counts)}")
    for spec in inputs:
        array, wanted = data[spec.name], np.dtype(_NUMPY_TYPES[spec.datatype])
        if array.dtype != wanted:
            raise ValidationDataError(f"array {spec.name!r} is {array.dtype}, the model takes {wanted}")
        if array.ndim != len(spec.shape) or any(
            want not in {-1, have} for want, have in zip(spec.shape[1:], array.shape[1:], strict=True)
        ):
            raise ValidationDataError(f"array {spec.name!r} is {list(array.shape)}, the model takes {list(spec.shape)}")
    return counts.pop()


def _batches(data: Arrays, inputs: Sequence[TensorSpec], rows: int) -> Iterator[dict[str, NDArray[Any]]]:
    fixed = {spec.shape[0] for spec in inputs if spec.shape[0] != -1}
    size = min(fixed, default=_BATCH)
    if len(fixed) > 1 or (fixed and rows % size):
        raise ValidationDataError(f"the model takes {size} rows at a time: give a multiple of that, not {rows}")
    for start in range(0, rows, size):
        yield {name: array[start : start + size] for name, array in data.items()}


def _described(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in tensors)
