"""Releases, assignments and models of the inference tests."""

from datetime import UTC, datetime

from skerry_core.assignment.document import ModelAssignment, ReleaseRef
from skerry_core.bundle.manifest import (
    DataType,
    Decision,
    DecisionKind,
    ExpectedDisagreement,
    FileEntry,
    Manifest,
    Runtime,
    TensorSpec,
)
from skerry_edge.inference.activation.state import Kept
from tests.unit.verdict.conformance import LIMITS

AT = datetime(2026, 1, 1, tzinfo=UTC)


def release(number: int) -> ReleaseRef:
    digest = f"sha256:{number:064x}"
    return ReleaseRef(release=f"har-{number}", version=f"1.{number}.0", digest=digest, signature=digest)


def assignment(target: ReleaseRef, approved: ReleaseRef | None = None, **changes) -> ModelAssignment:
    return ModelAssignment(
        namespace="team", name="har", served_name="har", target=target, approved=approved, analysis=LIMITS, **changes
    )


def kept(champion: ReleaseRef | None = None, previous: ReleaseRef | None = None, **changes) -> Kept:
    return Kept(
        namespace="team",
        model="har",
        served_name="har",
        champion=champion,
        champion_since=None if champion is None else AT,
        previous=previous,
        **changes,
    )


def manifest(version: str = "1.0.0", expected: ExpectedDisagreement | None = None, **changes) -> Manifest:
    return Manifest(
        model="har",
        version=version,
        created_at=AT,
        entrypoint="model.onnx",
        files=(FileEntry(path="model.onnx", digest="sha256:" + "f" * 64, size=1),),
        inputs=(TensorSpec(name="x", datatype=DataType.FP32, shape=(-1, 4)),),
        outputs=(TensorSpec(name="scores", datatype=DataType.FP32, shape=(-1, 3)),),
        decision=Decision(kind=DecisionKind.ARGMAX, output="scores"),
        expected_disagreement=expected,
        runtime=Runtime(ir_version=8, opsets={"": 17}, operators=("MatMul",)),
    ).model_copy(update=changes)
