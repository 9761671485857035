import pytest

from skerry_core import digest
from skerry_edge.delivery.activation import Activation
from skerry_edge.delivery.essential import essential
from tests.unit.delivery.worlds import POLICY, Release, assignment

OLD, NEW = Release("1.0.0", (b"old",)), Release("1.1.0", (b"new", b"labels"))
MANIFESTS = {OLD.ref.digest: OLD.manifest, NEW.ref.digest: NEW.manifest}
TRUST = digest.of_bytes(POLICY)


def serving(release: Release) -> Activation:
    return Activation((release.ref,), {"demo/har": release.ref.digest})


@pytest.mark.parametrize(
    ("approved", "activation", "quarantined", "expected"),
    [
        (OLD, Activation(), (), OLD),
        (OLD, None, (), OLD),
        (None, Activation(), (), NEW),
        (OLD, serving(OLD), (), None),
        (OLD, serving(NEW), (), None),
        (OLD, serving(NEW), (NEW.ref.digest,), OLD),
        (OLD, Activation(), (OLD.ref.digest,), None),
    ],
    ids=["nothing serves", "unknown", "none approved", "serves", "another serves", "what serves is barred", "barred"],
)
def test_what_a_model_needs_that_does_not_serve(approved, activation, quarantined, expected):
    found = essential(assignment(NEW, approved), activation, MANIFESTS, quarantined)
    assert found == {TRUST} | (set() if expected is None else set(expected.blobs))


def test_both_policies_always_come():
    document = assignment(NEW, OLD).model_copy(update={"sync_policy": digest.of_bytes(b"policy")})
    assert essential(document, serving(OLD), MANIFESTS) == {TRUST, digest.of_bytes(b"policy")}


def test_files_are_known_with_the_manifest():
    assert essential(assignment(NEW), Activation(), {}) == {TRUST, NEW.ref.digest, NEW.ref.signature}
