import pytest

from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_api.v1alpha1.quarantine import Quarantine, QuarantineScope
from skerry_core.errors import UserMustActError
from skerry_operator.cli.rollback import plan
from skerry_operator.kube.resources import MODEL_RELEASES, MODELS, QUARANTINES
from tests.unit.cli.fleet import digest, model, release, small_fleet


def quarantines(kube):
    return {each.spec.digest: each for each in map(Quarantine.model_validate, kube.list(QUARANTINES).items)}


def snapshot(kube):
    return kube.list(MODELS).items, kube.list(MODEL_RELEASES).items


def test_takes_back_what_is_going_out(run, kube):
    small_fleet(kube)
    before = snapshot(kube)
    answer = run("rollback", "har", "--yes", "--message", "smells wrong")
    assert answer.exit_code == 0, answer.stderr
    (made,) = quarantines(kube).values()
    assert made.spec.digest == digest("1.3.0")
    assert (made.spec.namespace, made.spec.model, made.spec.release) == ("plants", "har", "har-1.3.0")
    assert made.spec.scope is QuarantineScope.RELEASE
    assert (made.spec.reason.name, made.spec.reason.message) == ("Manual", "smells wrong")
    assert answer.stdout.strip() == f"quarantine/{made.metadata.name}"
    assert "sites swap back to 1.1.0" in answer.stderr
    assert snapshot(kube) == before, "nobody's spec is written"


def test_takes_back_the_approved_one_and_what_is_going_out_too(run, kube):
    small_fleet(kube)
    answer = run("rollback", "har", "--to", "1.0.0", "-y")
    assert answer.exit_code == 0, answer.stderr
    assert set(quarantines(kube)) == {digest("1.3.0"), digest("1.1.0")}


@pytest.mark.parametrize(("typed", "made"), [("y\n", 1), ("n\n", 0), ("", 0)])
def test_asks_first(run, kube, typed, made):
    small_fleet(kube)
    answer = run("rollback", "har", input=typed)
    assert answer.exit_code == (0 if made else 1)
    assert "1.3.0 (130000000000) will be quarantined at every site" in answer.stderr
    assert len(quarantines(kube)) == made


def test_again_does_no_harm(run, kube):
    small_fleet(kube)
    first = run("rollback", "har", "-y").stdout
    answer = run("rollback", "har", "-y")
    assert answer.exit_code == 0
    assert "quarantined already" in answer.stderr
    assert answer.stdout == first
    assert len(quarantines(kube)) == 1


def test_an_unknown_model_is_one_line(run, kube):
    answer = run("rollback", "nothing", "-y")
    assert answer.exit_code == 1
    assert answer.stderr == "error: there is no Model 'nothing' in namespace plants\n"


CASES = [
    # approved, previous, phases of releases, --to, expected versions taken back, back to
    ("1.1.0", "1.0.0", {"1.2.0": "Progressing"}, "", ["1.2.0"], "1.1.0"),
    ("1.1.0", "1.0.0", {"1.2.0": "Paused"}, "", ["1.2.0"], "1.1.0"),
    ("1.1.0", None, {"1.2.0": "Pending", "1.3.0": "Progressing"}, "", ["1.2.0", "1.3.0"], "1.1.0"),
    ("1.1.0", "1.0.0", {"1.2.0": "Progressing"}, "1.1.0", ["1.2.0"], "1.1.0"),
    ("1.1.0", "1.0.0", {"1.2.0": "Progressing"}, "1.0.0", ["1.2.0", "1.1.0"], "1.0.0"),
    ("1.1.0", "1.0.0", {"1.2.0": "RolledBack", "1.1.0": "Approved"}, "", ["1.1.0"], "1.0.0"),
    ("1.1.0", "1.0.0", {}, "1.0.0", ["1.1.0"], "1.0.0"),
]


@pytest.mark.parametrize(("approved", "previous", "releases", "to", "expected", "back_to"), CASES)
def test_plans(approved, previous, releases, to, expected, back_to):
    found = plan(
        Model.model_validate(model(approved, previous)),
        [ModelRelease.model_validate(release(version, phase)) for version, phase in releases.items()],
        to,
    )
    assert [each.version for each in found.taken_back] == expected
    assert [each.digest for each in found.taken_back] == [digest(version) for version in expected]
    assert found.back_to == back_to


@pytest.mark.parametrize(
    ("approved", "previous", "releases", "to", "message"),
    [
        (None, None, {"1.0.0": "Progressing"}, "", "no earlier release of har is kept"),
        ("1.0.0", None, {}, "", "no earlier release of har is kept"),
        ("1.1.0", "1.0.0", {}, "0.9.0", "no way back to 0.9.0: kept are 1.1.0, 1.0.0"),
        ("1.1.0", "1.0.0", {}, "1.1.0", "no way back to 1.1.0"),
        (None, None, {}, "1.0.0", "kept are none"),
    ],
)
def test_without_a_way_back_nothing_is_planned(approved, previous, releases, to, message):
    objects = [ModelRelease.model_validate(release(version, phase)) for version, phase in releases.items()]
    with pytest.raises(UserMustActError, match=message) as caught:
        plan(Model.model_validate(model(approved, previous)), objects, to)
    assert caught.value.reason == "NothingToRollBack"
