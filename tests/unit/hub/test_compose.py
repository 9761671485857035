from datetime import UTC, datetime, timedelta

import pytest

from skerry_api.v1alpha1.model import Analysis
from skerry_api.v1alpha1.siteassignment import Serial
from skerry_api.v1alpha1.siteclass import RuntimeResources
from skerry_core.assignment.document import AssignmentDocument, RuntimeTemplate
from skerry_core.drift.limits import DriftLimits
from skerry_core.trust.assignment import open_assignment, seal_assignment
from skerry_core.trust.keys import generate_key_pair
from skerry_operator.hub.compose import ModelPolicy, compose, next_serial, target_of
from skerry_operator.hub.rollout.defaults import analysis_limits
from tests.unit.hub.rollout_world import told

NOW = datetime(2030, 1, 1, tzinfo=UTC)
HAR, GAIT = ("factory", "har"), ("factory", "gait")
POLICY = ModelPolicy("har", analysis_limits(None))
DIGEST = "sha256:" + "5" * 64


def composed(current: AssignmentDocument | None = None, **changes) -> AssignmentDocument:
    given = {
        "site": "site-a",
        "current": current,
        "told": {},
        "removed": frozenset(),
        "held": frozenset(),
        "policies": {HAR: POLICY},
        "trust_policy": DIGEST,
        "sync_policy": None,
        "feature_sets": {},
        "runtime": RuntimeTemplate(image="skerry-edge:0.1.0", resources=RuntimeResources()),
        "serial": Serial(incarnation=1, n=current.serial.n + 1 if current else 1),
        "now": NOW,
    }
    return compose(**given | changes)


def test_a_site_without_models_is_told_so():
    assert composed().models == ()


def test_what_plans_decide_is_what_is_told():
    document = composed(told={HAR: told("1.1.0", "1.0.0", ["0.9.0"])})
    assert target_of(document.models[0]) == told("1.1.0", "1.0.0", ["0.9.0"])
    assert document.models[0].served_name == "har"


def test_the_same_content_is_the_same_document_an_hour_later():
    first = composed(told={HAR: told("1.0.0")})
    assert composed(first, now=NOW + timedelta(hours=1)) is first
    assert composed(first, told={HAR: told("1.0.0")}) is first


@pytest.mark.parametrize(
    "changes",
    [
        {"told": {HAR: told("1.1.0", "1.0.0")}},
        {"trust_policy": "sha256:" + "6" * 64},
        {"sync_policy": "sha256:" + "6" * 64},
        {"runtime": RuntimeTemplate(image="skerry-edge:0.2.0", resources=RuntimeResources())},
        {"policies": {HAR: ModelPolicy("har", analysis_limits(Analysis(min_samples=60)))}},
        {"policies": {HAR: ModelPolicy("har", analysis_limits(None), DriftLimits(max_psi=0.5))}},
        {"serial": Serial(incarnation=2, n=1)},
    ],
)
def test_other_content_is_a_newer_document(changes):
    first = composed(told={HAR: told("1.0.0")})
    second = composed(first, **changes)
    assert second.serial.key() > first.serial.key()
    assert second != first


def test_a_model_that_is_gone_stays_as_it_was_told():
    first = composed(told={HAR: told("1.0.0"), GAIT: told("2.0.0")}, policies={HAR: POLICY, GAIT: POLICY})
    second = composed(first, policies={HAR: POLICY})
    assert second is first


def test_a_sync_policy_that_is_gone_stays_as_it_was_told():
    first = composed(sync_policy=DIGEST)
    assert first.sync_policy == DIGEST
    assert composed(first) is first


def test_a_document_read_back_from_its_envelope_needs_no_rewriting():
    """A duration finer than the wire's would make each reading look like a change."""
    key = generate_key_pair()
    limits = analysis_limits(Analysis(latency_floor=timedelta(microseconds=1500)))
    first = composed(told={HAR: told("1.0.0")}, policies={HAR: ModelPolicy("har", limits)})
    read = open_assignment(seal_assignment(first, key.private_pem), key.public_pem, site="site-a", last=None)
    assert composed(read, policies={HAR: ModelPolicy("har", limits)}) is read


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], 1),
        ([None, Serial(incarnation=1, n=4)], 5),
        ([Serial(incarnation=1, n=9), Serial(incarnation=1, n=4)], 10),
        ([Serial(incarnation=0, n=99)], 1),
    ],
)
def test_serials_only_grow(seen, expected):
    assert next_serial(1, seen).key() == (1, expected)


VIBRATION, HEAT = (f"sha256:{digit * 64}" for digit in "21")


def sets_of(*given: tuple[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {told(version).target.digest: sets for version, sets in given}


def test_the_sets_of_approved_and_target_releases_are_named_once_each():
    sets = sets_of(("1.0.0", (VIBRATION,)), ("1.1.0", (VIBRATION, HEAT)))
    document = composed(told={HAR: told("1.1.0", "1.0.0")}, feature_sets=sets)
    assert document.feature_sets == (HEAT, VIBRATION)


def test_many_sets_fit_beside_several_models():
    names = [("factory", f"model-{number}") for number in range(4)]
    sets = tuple(f"sha256:{number:064x}" for number in range(60))
    document = composed(
        told={name: told("1.1.0", "1.0.0") for name in names},
        policies=dict.fromkeys(names, POLICY),
        feature_sets=sets_of(("1.0.0", sets[:30]), ("1.1.0", sets[20:])),
    )
    assert document.feature_sets == sets
    key = generate_key_pair()
    opened = open_assignment(seal_assignment(document, key.private_pem), key.public_pem, site="site-a", last=None)
    assert opened.feature_sets == sets


def test_a_set_that_no_release_needs_any_more_goes():
    first = composed(told={HAR: told("1.0.0")}, feature_sets=sets_of(("1.0.0", (VIBRATION,))))
    second = composed(first, told={HAR: told("1.1.0")}, feature_sets=sets_of(("1.0.0", (VIBRATION,)), ("1.1.0", ())))
    assert second.feature_sets == ()


def test_no_set_goes_while_a_manifest_cant_be_read():
    first = composed(told={HAR: told("1.0.0")}, feature_sets=sets_of(("1.0.0", (VIBRATION,))))
    assert composed(first) is first
    second = composed(first, told={HAR: told("1.1.0", "1.0.0")}, feature_sets=sets_of(("1.1.0", (HEAT,))))
    assert second.feature_sets == (HEAT, VIBRATION)
