"""A full status of each kind, as the operators write it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from skerry_api.conditions import Observation, Stalled, conditions_for
from skerry_api.v1alpha1.condition import ConditionStatus, Status
from skerry_api.v1alpha1.drift import DriftedColumn, DriftPolicy, DriftReport, DriftState
from skerry_api.v1alpha1.edgesite import EdgeSiteStatus, ServedModel
from skerry_api.v1alpha1.featureset import FeatureSetSpec, FeatureSetStatus, PublishedVersion
from skerry_api.v1alpha1.model import Analysis, ApprovedRelease, ModelEffective, ModelStatus, Rollback
from skerry_api.v1alpha1.modelrelease import FailedMetric, ModelReleaseStatus, ReleasePhase, RingProgress
from skerry_api.v1alpha1.quarantine import QuarantineStatus
from skerry_api.v1alpha1.rolloutring import RolloutRingEffective, RolloutRingStatus, RolloutStrategy
from skerry_api.v1alpha1.runtimenode import DiskUsage, RuntimeNodeStatus
from skerry_api.v1alpha1.siteassignment import EvidenceSummary, ModelPhase, ModelReport, Serial, SiteAssignmentStatus
from skerry_api.v1alpha1.siteclass import SiteClassStatus
from skerry_api.v1alpha1.syncpolicy import SyncPolicySpec, SyncPolicyStatus
from skerry_api.v1alpha1.trustpolicy import TrustPolicyStatus
from skerry_operator.hub.feature_set.resolve import effective_set
from skerry_operator.hub.sync_policy.resolve import effective_policy

VALID = Path(__file__).parent / "valid.yaml"
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
SERIAL = Serial(incarnation=2, n=17)
BASE = {
    "observed_generation": 1,
    "conditions": conditions_for(
        Stalled("SignerNotAllowed", "bind the signer in the TrustPolicy"),
        generation=1,
        now=AT,
        extra=[Observation("Reachable", ConditionStatus.TRUE, "Reported", "a report came in")],
    ),
}
APPROVED = ApprovedRelease(
    release="har-1.4.0",
    version="1.4.0",
    digest=DIGEST,
    signature=DIGEST,
    storage_uri="s3://skerry/models/har/1.4.0",
    approved_at=AT,
)
METRIC = FailedMetric(name="Disagreement", observed=0.31, limit=0.08, site="site-a", message="Too many answers differ.")
REPORT = ModelReport(
    namespace="default",
    model="har",
    phase=ModelPhase.ROLLED_BACK,
    target_digest=DIGEST,
    serving_digest=DIGEST,
    serving_version="1.4.0",
    serving_since=AT,
    requests=12_345,
    evidence=EvidenceSummary(pairs=400, disagreements=120, expected_disagreement=0.02, latency_ratio_p50=1.1),
    failed_metric=METRIC,
    quarantined=(DIGEST,),
    reason="Disagreement",
    message="Too many answers differ.",
    drift=DriftReport(
        state=DriftState.DRIFTING,
        digest=DIGEST,
        since=AT,
        windows=12,
        columns=(DriftedColumn(name="x[3]", psi=0.81, limit=0.2),),
        drifting_columns=1,
        nodes=1,
    ),
)

SPECS = {one["kind"]: one["spec"] for one in yaml.safe_load_all(VALID.read_text())}
SYNC_POLICY = SyncPolicySpec.model_validate(SPECS["SyncPolicy"])
FEATURE_SET = FeatureSetSpec.model_validate(SPECS["FeatureSet"])

STATUSES: dict[str, Status] = {
    "Model": ModelStatus(
        **BASE,
        approved=APPROVED,
        previous=APPROVED,
        effective=ModelEffective(
            served_name="har",
            analysis=Analysis(windows=6, failure_limit=3, interval=timedelta(seconds=5)),
            rollback=Rollback(keep=1, observation_window=timedelta(minutes=10)),
            drift=DriftPolicy(interval=timedelta(minutes=10), windows=6, ignored_columns=("x[0]",)),
        ),
    ),
    "ModelRelease": ModelReleaseStatus(
        **BASE,
        phase=ReleasePhase.ROLLED_BACK,
        ring="internal",
        rings=(RingProgress(name="internal", sites=3, assigned=2, failed=1, unreachable=1, completed_at=AT),),
        failed_metric=METRIC,
        reason="Disagreement",
        signature=DIGEST,
        signer="author@example.com",
        started_at=AT,
    ),
    "RolloutRing": RolloutRingStatus(
        **BASE,
        sites=12,
        effective=RolloutRingEffective(
            rollout_strategy=RolloutStrategy(max_concurrency=10, progress_deadline=timedelta(hours=1)),
            min_reporting=100,
            evidence_max_age=timedelta(minutes=1),
        ),
    ),
    "FeatureSet": FeatureSetStatus(
        **BASE,
        digest=DIGEST,
        versions=(
            PublishedVersion(version="1.1.0", digest=DIGEST, published_at=AT),
            PublishedVersion(version="1.2.0-rc.1", digest=DIGEST, published_at=AT),
        ),
        effective=effective_set(FEATURE_SET),
    ),
    "SyncPolicy": SyncPolicyStatus(
        **BASE, digest=DIGEST, sites=3, updated_sites=2, effective=effective_policy(SYNC_POLICY)
    ),
    "TrustPolicy": TrustPolicyStatus(**BASE, digest=DIGEST, serial=3, bindings=2, denied=1),
    "Quarantine": QuarantineStatus(**BASE),
    "SiteClass": SiteClassStatus(**BASE, sites=12),
    "EdgeSite": EdgeSiteStatus(
        **BASE,
        namespace="skerry-site-site-a",
        last_seen=AT,
        serving=(
            ServedModel(namespace="default", model="har", version="1.4.0", digest=DIGEST, phase=ModelPhase.SERVING),
        ),
        summary="har 1.4.0",
        assigned_serial=SERIAL,
        observed_serial=SERIAL,
        credential_expires=AT,
        queue_depth=5,
    ),
    "SiteAssignment": SiteAssignmentStatus(
        **BASE,
        observed_serial=SERIAL,
        reported_at=AT,
        site_version="0.1.0",
        nodes=2,
        nodes_ready=1,
        queue_depth=5,
        models=(REPORT,),
    ),
    "RuntimeNode": RuntimeNodeStatus(
        **BASE,
        site="site-a",
        observed_serial=SERIAL,
        models=(REPORT,),
        resident=(DIGEST,),
        disk=DiskUsage(capacity=10_000_000_000, free=5_000_000_000),
        queue_depth=5,
        updated_at=AT,
    ),
}
