from datetime import UTC, datetime, timedelta

import pytest

from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.drift import DriftedColumn, DriftReport, DriftState
from skerry_api.v1alpha1.runtimenode import ConsentRelay, DiskUsage, FeatureSnapshot, TierQueue
from skerry_api.v1alpha1.siteassignment import EvidenceSummary, ModelPhase, ModelReport, Serial
from skerry_api.v1alpha1.syncpolicy import Tier
from skerry_edge.delivery.plan import Pending
from skerry_edge.sync.report import Cause, Facts, changed, coarse, report, standing

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64
SERIAL = Serial(incarnation=1, n=4)
SNAPSHOT = FeatureSnapshot(
    feature_set=DIGEST, digest=OTHER, size=9, begun_at=NOW, made_at=NOW, expires_at=NOW + timedelta(days=2)
)


def model(phase=ModelPhase.SERVING, **fields) -> ModelReport:
    return ModelReport(
        **{"namespace": "demo", "model": "har", "phase": phase, "target_digest": DIGEST, "serving_digest": DIGEST}
        | fields
    )


def facts(**fields) -> Facts:
    base = {"accepted": SERIAL, "serial": SERIAL, "models": (model(),), "resident": (DIGEST,)}
    return Facts(**{"site": "site-a"} | base | fields)


def pending(reason: str, message: str = "") -> Pending:
    return Pending(DIGEST, reason, message, 0, 10)


DRIFTING = DriftReport(
    state=DriftState.DRIFTING,
    digest=DIGEST,
    since=NOW,
    windows=3,
    columns=(DriftedColumn(name="x[0]", psi=0.9, limit=0.2),),
    drifting_columns=1,
    nodes=1,
)
REFUSED = Cause("EnvelopeInvalid", "no signature by the key that is trusted here")


READY = {"Ready": "True"}
PROGRESSING = {"Ready": "Unknown", "Reconciling": "True"}
WAITING = {"Ready": "False", "Reconciling": "True"}
STALLED = {"Ready": "False", "Stalled": "True"}


@pytest.mark.parametrize(
    ("found", "expected", "reason"),
    [
        (facts(), READY, "Serving"),
        (facts(refusal=REFUSED), STALLED, "EnvelopeInvalid"),
        (facts(accepted=None, serial=None, models=()), WAITING, "AssignmentMissing"),
        (facts(serial=None, models=()), PROGRESSING, "Activating"),
        (facts(serial=Serial(incarnation=1, n=3)), PROGRESSING, "Activating"),
        (facts(models=None), WAITING, "InferenceUnreachable"),
        (facts(pending=(pending("Downloading"),)), PROGRESSING, "Downloading"),
        (facts(pending=(pending("Downloading"), pending("StoreUnavailable"))), WAITING, "StoreUnavailable"),
        (facts(pending=(pending("StoreAnswersWithPage"),)), WAITING, "StoreAnswersWithPage"),
        (facts(pending=(pending("StoreUnavailable"), pending("DiskTooSmall"))), STALLED, "DiskTooSmall"),
        (facts(pending=(pending("DigestMismatch"),)), STALLED, "DigestMismatch"),
        (facts(models=(model(ModelPhase.CANARY),)), PROGRESSING, "Canary"),
        (facts(models=(model(), model(ModelPhase.LOADING))), PROGRESSING, "Loading"),
        (facts(models=(model(ModelPhase.ROLLED_BACK, reason="CanaryFailed"),)), READY, "Serving"),
        (facts(models=(model(ModelPhase.REFUSED, reason="SignerNotAllowed"),)), STALLED, "SignerNotAllowed"),
        (facts(models=(model(ModelPhase.STALLED),)), WAITING, "Stalled"),
        (
            facts(models=(model(ModelPhase.LOADING), model(ModelPhase.STALLED, reason="LoadError"))),
            WAITING,
            "LoadError",
        ),
        (
            facts(models=(model(ModelPhase.STALLED), model(ModelPhase.REFUSED, reason="SignerNotAllowed"))),
            STALLED,
            "SignerNotAllowed",
        ),
        (facts(refusal=REFUSED, models=None, accepted=None), STALLED, "EnvelopeInvalid"),
    ],
)
def test_conditions_follow_from_a_table(found, expected, reason):
    *computed, uploading = report(found, 1, None, NOW).conditions
    assert {condition.type: condition.status for condition in computed} == expected
    assert {condition.reason for condition in computed} == {reason}
    assert (uploading.type, uploading.status, uploading.reason) == ("Uploading", "True", "Uploading")


def test_a_log_that_can_not_leave_is_told_and_does_not_make_the_node_less_ready():
    conditions = report(facts(upload=Cause("GrantExpired", "awaiting the next")), 1, None, NOW).conditions
    assert [(c.type, c.status, c.reason) for c in conditions] == [
        ("Ready", "True", "Serving"), ("Uploading", "False", "GrantExpired")
    ]  # fmt: skip


def test_a_silent_inference_is_not_said_to_serve():
    before = report(facts(), 1, None, NOW)
    after = report(facts(models=None, resident=()), 1, before, LATER)
    assert (after.models, after.resident) == ((), ())
    assert changed(before, after)


def test_a_condition_keeps_the_time_of_its_transition():
    first = report(facts(), 1, None, NOW)
    same = report(facts(resident=(OTHER,)), 1, first, LATER)
    other = report(facts(models=None), 1, same, LATER)
    assert {condition.type: condition.last_transition_time for condition in same.conditions} == {
        "Ready": NOW, "Uploading": NOW
    }  # fmt: skip
    assert {condition.type: condition.last_transition_time for condition in other.conditions} == {
        "Ready": LATER, "Reconciling": LATER, "Uploading": NOW
    }  # fmt: skip


@pytest.mark.parametrize(
    "news",
    [
        {"models": (model(ModelPhase.CANARY),)},
        {"models": (model(serving_digest=OTHER),)},
        {"models": (model(quarantined=(OTHER,)),)},
        {"serial": Serial(incarnation=1, n=5)},
        {"resident": (DIGEST, OTHER)},
        {"refusal": REFUSED},
        {"pending": (pending("StoreUnavailable"),)},
        {"upload": Cause("StoreUnavailable")},
        {"queue_depth": 12_345},
        {"models": (model(drift=DRIFTING),)},
        {"queues": (TierQueue(tier=Tier.BULK, depth=1000),)},
        {"queues": (TierQueue(tier=Tier.BULK, held_reason="Metered"),)},
        {"address": "10.0.0.7:8082"},
        {"snapshots": (SNAPSHOT,)},
        {"consent": ConsentRelay(key="00" * 8, incarnation="11" * 8)},
    ],
)
def test_news_is_written(news):
    assert changed(report(facts(), 1, None, NOW), report(facts(**news), 1, None, NOW))


@pytest.mark.parametrize(
    "counted",
    [
        {"models": (model(requests=900, evidence=EvidenceSummary(pairs=40)),)},
        {"disk": DiskUsage(capacity=100, free=40)},
        {"queue_depth": 999},
        {"resident": (DIGEST,)},
    ],
)
def test_what_counts_up_is_not(counted):
    assert not changed(report(facts(), 1, None, NOW), report(facts(**counted), 1, None, LATER))


def test_drift_is_a_condition_and_its_figures_are_no_news():
    drifting = report(facts(models=(model(drift=DRIFTING),)), 1, None, NOW)
    told = {condition.type: condition for condition in drifting.conditions}
    assert told["Drifting"].status is ConditionStatus.TRUE
    assert told["Ready"].status is ConditionStatus.TRUE
    worse = DRIFTING.model_copy(update={"windows": 9, "columns": (DriftedColumn(name="x[0]", psi=2.0, limit=0.2),)})
    assert not changed(drifting, report(facts(models=(model(drift=worse),)), 1, drifting, LATER))
    other = DRIFTING.model_copy(update={"columns": (DriftedColumn(name="x[1]", psi=0.9, limit=0.2),)})
    assert changed(drifting, report(facts(models=(model(drift=other),)), 1, drifting, LATER))


def test_the_order_of_residents_is_no_news():
    one, two = (report(facts(resident=order), 1, None, NOW) for order in ((DIGEST, OTHER), (OTHER, DIGEST)))
    assert not changed(one, two)


def test_the_first_status_and_a_new_generation_are_news():
    status = report(facts(), 1, None, NOW)
    assert changed(None, status)
    assert changed(status, report(facts(), 2, status, NOW))


@pytest.mark.parametrize(
    ("depth", "expected"), [(0, 0), (999, 0), (1000, 1000), (9999, 1000), (10_000, 10_000), (2_345_678, 1_000_000)]
)
def test_depths_are_told_by_order_of_magnitude(depth, expected):
    assert coarse(depth) == expected


@pytest.mark.parametrize(
    ("ages_and_depths", "expected"),
    [
        ([], 0),
        ([(0, 5000)], 5000),
        ([(3, 900), (2, 1800), (1, 0), (0, 900)], 0),
        ([(20, 0), (9, 4000), (0, 5000)], 4000),
    ],
)
def test_a_standing_queue_is_what_no_batch_carried_off(ages_and_depths, expected):
    samples = [(NOW - timedelta(seconds=age), depth) for age, depth in ages_and_depths]
    assert standing(samples, NOW) == expected


def test_a_long_message_is_cut_to_what_a_condition_holds():
    status = report(facts(refusal=Cause("EnvelopeInvalid", "x" * 5000)), 1, None, NOW)
    assert len(status.conditions[0].message) == 1024
