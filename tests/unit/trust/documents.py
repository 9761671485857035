"""Small valid documents that the trust tests start from."""

from datetime import UTC, datetime, timedelta

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_api.v1alpha1.siteclass import RuntimeResources
from skerry_core.assignment.document import (
    AnalysisLimits,
    AssignmentDocument,
    GuardrailLimits,
    ModelAssignment,
    ReleaseRef,
    RuntimeTemplate,
)
from skerry_core.bundle.manifest import (
    DataType,
    Decision,
    DecisionKind,
    FileEntry,
    Manifest,
    Runtime,
    TensorSpec,
)
from skerry_core.canonical import canonical_json
from skerry_core.trust.policy import Binding, DenyList, MinimumVersion, PolicyDocument, SignerIdentity

NAMESPACE, MODEL, VERSION = "demo", "har", "1.2.0"
AUTHOR = "ci@example.test"
ISSUED = datetime(2026, 3, 1, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64


def manifest_bytes(model: str = MODEL, version: str = VERSION, notes: str = "") -> bytes:
    tensor = TensorSpec(name="x", datatype=DataType.FP32, shape=(-1, 6))
    return canonical_json(
        Manifest(
            model=model,
            version=version,
            created_at=ISSUED,
            entrypoint="model.onnx",
            files=(FileEntry(path="model.onnx", digest=DIGEST, size=1000),),
            inputs=(tensor,),
            outputs=(tensor,),
            decision=Decision(kind=DecisionKind.ARGMAX, output="x"),
            runtime=Runtime(ir_version=10, opsets={"": 17}, operators=("MatMul",)),
            notes=notes,
        )
    )


def policy(
    issuer: str,
    *,
    author: str = AUTHOR,
    models: tuple[str, ...] = (MODEL,),
    serial: int = 1,
    deny: DenyList | None = None,
    minimum: str | None = None,
) -> PolicyDocument:
    signer = SignerIdentity(subject=author, issuer=issuer)
    return PolicyDocument(
        serial=serial,
        issued_at=ISSUED,
        bindings=(Binding(namespace=NAMESPACE, models=models, identities=(signer,)),),
        deny_list=deny or DenyList(),
        minimum_versions=(MinimumVersion(namespace=NAMESPACE, model=MODEL, version=minimum),) if minimum else (),
    )


def model_assignment(name: str = MODEL) -> ModelAssignment:
    guardrails = GuardrailLimits(max_trips=3, window=timedelta(minutes=1), latency_limit=timedelta(milliseconds=500))
    return ModelAssignment(
        namespace=NAMESPACE,
        name=name,
        served_name=name,
        target=ReleaseRef(release=f"{name}-1", version=VERSION, digest=DIGEST, signature=DIGEST),
        analysis=AnalysisLimits(
            canary_fraction=0.5,
            interval=timedelta(seconds=5),
            windows=6,
            failure_limit=3,
            min_samples=200,
            max_disagreement_excess=0.05,
            max_disagreement=0.5,
            max_error_rate=0.01,
            max_latency_ratio=3.0,
            latency_floor=timedelta(milliseconds=20),
            guardrails=guardrails,
        ),
    )


def assignment(
    site: str = "site-a", serial: tuple[int, int] = (1, 1), models: tuple[ModelAssignment, ...] | None = None
) -> AssignmentDocument:
    return AssignmentDocument(
        site=site,
        serial=Serial(incarnation=serial[0], n=serial[1]),
        issued_at=ISSUED,
        trust_policy=DIGEST,
        runtime=RuntimeTemplate(image="skerry-edge:test", resources=RuntimeResources()),
        models=(model_assignment(),) if models is None else models,
    )
