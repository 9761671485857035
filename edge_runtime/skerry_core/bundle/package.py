"""Makes a bundle out of an ONNX file, with how often it decides otherwise than the model before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from skerry_core import digest as digests
from skerry_core.bundle.drift_baseline import measure_baseline
from skerry_core.bundle.feature_inputs import FeatureBinding, bind
from skerry_core.bundle.folder import MANIFEST_FILE, MODEL_FILE, SIGNATURE_FILE, BundleFolder, read_bundle
from skerry_core.bundle.inspection import Inspection, inspect_model
from skerry_core.bundle.manifest import (
    DataType,
    Decision,
    DecisionKind,
    ExpectedDisagreement,
    FileEntry,
    Manifest,
    TensorSpec,
)
from skerry_core.bundle.training import Training, check_training
from skerry_core.bundle.validation import (
    Arrays,
    Measured,
    ValidationDataError,
    check_same_interface,
    measure,
    open_session,
)
from skerry_core.canonical import canonical_json
from skerry_core.drift.baseline import BASELINE_FILE
from skerry_core.durable import remove_file, write_file
from skerry_core.errors import UserMustActError

_LABELLED = 2  # [rows, classes]
_FLOATS = {DataType.FP32, DataType.FP64}


@dataclass(frozen=True)
class Comparison:
    """What to measure against: the bundle that is, or will be, approved when this one goes out, on validation data."""

    baseline: BundleFolder
    data: Arrays


@dataclass(frozen=True)
class Packaged:
    """The bundle as written, and what was measured if there was something to compare with."""

    bundle: BundleFolder
    measured: Measured | None


def package_model(
    model_file: Path,
    folder: Path,
    *,
    model: str,
    version: str,
    created_at: datetime,
    decision: Decision | None = None,
    comparison: Comparison | None = None,
    features: Sequence[FeatureBinding] = (),
    validation: Arrays | None = None,
    preprocessing_version: str | None = None,
    training: Training | None = None,
    notes: str = "",
) -> Packaged:
    """Write the bundle of `model_file` to `folder` (made if needed): model.onnx and manifest.json, not yet signed.

    `decision` says what counts as agreement of two models; left out, it is the argmax of the only output of scores.
    With `validation`, or the data of a `comparison`, drift-baseline.json is there too: what sites hold their traffic
    against.
    `features` says which inputs nodes fill from feature sets, `training` what the model was trained on, and
    `preprocessing_version` (semantic) which code makes its inputs. Raises UserMustActError `ModelUnsupported`,
    `ValidationDataInvalid`, `DecisionInvalid`, `FeaturesInvalid`, `TrainingRowsDiffer` or `BundleMalformed`.
    """
    data = model_file.read_bytes()
    inspection = inspect_model(data)
    open_session(data)
    decision = _checked(decision or default_decision(inspection.outputs), inspection.outputs)
    bound = bind(features, inspection.inputs)
    if training is not None:
        check_training(training, bound)
    measured = None if comparison is None else _measure(comparison, model, decision, inspection, data)
    rows = validation if validation is not None or comparison is None else comparison.data
    sketches = None if rows is None else measure_baseline(inspection, decision, data, rows, bound)
    files = {MODEL_FILE: data} | ({} if sketches is None else {BASELINE_FILE: sketches})
    manifest = Manifest(
        model=model,
        version=version,
        created_at=created_at,
        entrypoint=MODEL_FILE,
        files=tuple(
            FileEntry(path=path, digest=digests.of_bytes(held), size=len(held)) for path, held in files.items()
        ),
        inputs=inspection.inputs,
        outputs=inspection.outputs,
        decision=decision,
        expected_disagreement=_expected(comparison, measured),
        runtime=inspection.runtime,
        features=bound,
        preprocessing_version=preprocessing_version,
        drift_baseline=BASELINE_FILE if sketches is not None else None,
        training=training,
        notes=notes,
    )
    folder.mkdir(parents=True, exist_ok=True)
    remove_file(folder / SIGNATURE_FILE)  # it would be that of another manifest
    remove_file(folder / BASELINE_FILE)
    for path, held in files.items():
        write_file(folder / path, held)
    write_file(folder / MANIFEST_FILE, canonical_json(manifest))
    return Packaged(read_bundle(folder), measured)


def default_decision(outputs: Sequence[TensorSpec]) -> Decision:
    """The argmax of the only output of scores, [rows, classes]; raises UserMustActError `DecisionInvalid`."""
    scores = [spec.name for spec in outputs if spec.datatype in _FLOATS and len(spec.shape) == _LABELLED]
    if len(scores) != 1:
        names = [spec.name for spec in outputs]
        raise _invalid(f"which output decides can't be told from {names}: say so with --decision")
    return Decision(kind=DecisionKind.ARGMAX, output=scores[0])


def _checked(decision: Decision, outputs: Sequence[TensorSpec]) -> Decision:
    spec = next((spec for spec in outputs if spec.name == decision.output), None)
    if spec is None:
        raise _invalid(f"the model has no output {decision.output!r}; it has {[spec.name for spec in outputs]}")
    if not spec.shape:
        raise _invalid(f"output {spec.name!r} has no rows: answers are compared row by row")
    if decision.kind is DecisionKind.ARGMAX and len(spec.shape) == 1 and spec.datatype in _FLOATS:
        raise _invalid(f"output {spec.name!r} is one number a row: use --decision tolerance:{spec.name}:0.1, say")
    return decision


def _measure(comparison: Comparison, model: str, decision: Decision, inspection: Inspection, data: bytes) -> Measured:
    baseline = comparison.baseline
    if baseline.manifest.model != model:
        other = baseline.manifest.model
        raise UserMustActError("BundleMalformed", f"the baseline is a bundle of {other!r}, not {model!r}")
    baseline_data = baseline.file(baseline.manifest.entrypoint).read_bytes()
    check_same_interface(inspection, inspect_model(baseline_data))
    return measure(decision, inspection.inputs, baseline_data, data, comparison.data)


def _expected(comparison: Comparison | None, measured: Measured | None) -> ExpectedDisagreement | None:
    if comparison is None or measured is None:
        return None
    if measured.rows == 0:
        raise ValidationDataError("on no row of the validation data did both models give a finite answer")
    return ExpectedDisagreement(
        baseline=comparison.baseline.digest, rate=measured.disagreements / measured.rows, samples=measured.rows
    )


def _invalid(message: str) -> UserMustActError:
    return UserMustActError("DecisionInvalid", message)
