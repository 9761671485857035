import json

import pytest

from skerry_core.assignment.document import AssignmentDocument
from skerry_core.errors import RetryError
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.keys import generate_key_pair
from skerry_edge.sync.assignment import MAX_RESTRICTIONS, AssignmentKeeper
from tests.unit.delivery.worlds import Release, assignment
from tests.unit.trust import documents

HUB, THIEF = generate_key_pair(), generate_key_pair()
RELEASE, NEXT = Release("1.0.0", (b"model",)), Release("1.1.0", (b"next model",))
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def document(n: int, incarnation: int = 1) -> AssignmentDocument:
    return assignment(RELEASE, serial=(incarnation, n))


def sealed(n: int, incarnation: int = 1, key=HUB) -> str:
    return seal_assignment(document(n, incarnation), key.private_pem)


class Node:
    """A node's folder; `boot` starts anew from what is on disk."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "hub.pub").write_bytes(HUB.public_pem)

    @property
    def path(self):
        return self.folder / "assignment.json"

    def boot(self) -> AssignmentKeeper:
        keeper = AssignmentKeeper(
            self.path, self.folder / "restrictions.json", self.folder / "hub.pub", "site-a"
        )  # fmt: skip
        keeper.read()
        return keeper


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_a_first_boot_has_nothing_and_complains_of_nothing(node):
    keeper = node.boot()
    assert (keeper.document, keeper.refusal, keeper.quarantined) == (None, None, frozenset())


def test_what_was_accepted_is_there_after_a_reboot(node):
    assert node.boot().offer(sealed(3))
    assert node.boot().document == document(3)


@pytest.mark.parametrize("newer", [(4, 1), (1, 2)])
def test_newer_serials_are_taken(node, newer):
    keeper = node.boot()
    keeper.offer(sealed(3))
    assert keeper.offer(sealed(*newer))
    assert node.boot().document == document(*newer)


def test_an_equal_serial_changes_nothing(node):
    keeper = node.boot()
    keeper.offer(sealed(3))
    before = node.path.read_bytes()
    assert not keeper.offer(sealed(3))
    assert keeper.refusal is None
    assert node.path.read_bytes() == before


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        (sealed(2), "SerialOlder"),
        (sealed(9, key=THIEF), "EnvelopeInvalid"),
        ("edited by hand", "EnvelopeInvalid"),
        (seal_assignment(documents.assignment("site-b", (1, 9)), HUB.private_pem), "WrongSite"),
    ],
    ids=["older", "another key", "hand-edited", "another site's"],
)
def test_what_does_not_verify_is_refused_with_a_reason_and_the_good_one_stays(node, envelope, reason):
    keeper = node.boot()
    keeper.offer(sealed(3))
    before = node.path.read_bytes()
    assert not keeper.offer(envelope)
    assert keeper.refusal.reason == reason
    assert keeper.document == document(3)
    assert node.path.read_bytes() == before


@pytest.mark.parametrize("n", [3, 4])
def test_a_refusal_ends_when_the_mirror_is_good_again(node, n):
    keeper, good = node.boot(), sealed(3)
    keeper.offer(good)
    keeper.offer("edited by hand")
    keeper.offer(good if n == 3 else sealed(n))
    assert keeper.refusal is None


@pytest.mark.parametrize("stored", [b"", b"{", b"[]", json.dumps({"envelope": sealed(3, key=THIEF)}).encode()])
def test_a_bad_file_is_not_in_force_and_not_deleted_and_a_good_envelope_heals_it(node, stored):
    node.path.write_bytes(stored)
    keeper = node.boot()
    assert keeper.document is None
    assert keeper.refusal.reason == "EnvelopeInvalid"
    assert node.path.read_bytes() == stored
    assert keeper.offer(sealed(3))
    assert keeper.refusal is None


def test_a_missing_hub_key_is_waited_for(node):
    keeper = node.boot()
    (node.folder / "hub.pub").unlink()
    with pytest.raises(RetryError) as caught:
        keeper.offer(sealed(3))
    assert caught.value.reason == "HubKeyMissing"
    (node.folder / "hub.pub").write_bytes(HUB.public_pem)
    assert keeper.offer(sealed(3))


def test_restrictions_outlive_a_reboot(node):
    keeper = node.boot()
    assert keeper.restrict({"demo/har": (DIGEST,)})
    assert not keeper.restrict({"demo/har": (DIGEST,)})
    assert keeper.restrict({"demo/har": (OTHER,), "demo/other": ()})
    again = node.boot()
    assert again.quarantined == {DIGEST, OTHER}
    assert json.loads((node.folder / "restrictions.json").read_bytes()) == {
        "quarantined": {"demo/har": [DIGEST, OTHER]}
    }  # fmt: skip


@pytest.mark.parametrize("as_", ["target", "approved"])
def test_what_the_assignment_names_stays_restricted_whatever_the_mirror_says(node, as_):
    named = assignment(RELEASE) if as_ == "target" else assignment(NEXT, RELEASE)
    keeper = node.boot()
    keeper.offer(seal_assignment(named, HUB.private_pem))
    keeper.restrict({"demo/har": (RELEASE.ref.digest,)})
    assert not keeper.restrict({})
    assert node.boot().quarantined == {RELEASE.ref.digest}


def test_a_mirror_full_of_other_digests_lifts_nothing(node):
    keeper, others = node.boot(), tuple(f"sha256:{n:064x}" for n in range(MAX_RESTRICTIONS))
    keeper.offer(sealed(1))
    keeper.restrict({"demo/har": (RELEASE.ref.digest,)})
    assert keeper.restrict({"demo/har": others})
    assert not keeper.restrict({"demo/har": others})
    assert keeper.quarantined == {RELEASE.ref.digest, *others}


def test_a_restriction_ends_once_a_newer_assignment_and_the_mirror_have_dropped_it(node):
    keeper, barred = node.boot(), {"demo/har": (RELEASE.ref.digest,)}
    keeper.offer(sealed(1))
    keeper.restrict(barred)
    keeper.offer(seal_assignment(assignment(NEXT, serial=(1, 2)), HUB.private_pem))
    assert not keeper.restrict(barred)
    assert keeper.restrict({})
    assert node.boot().quarantined == frozenset()
    assert keeper.offer(sealed(3))
    assert keeper.quarantined == frozenset()


def test_restrictions_are_bounded(node):
    keeper = node.boot()
    digests = [f"sha256:{n:064x}" for n in range(MAX_RESTRICTIONS + 2)]
    for digest in digests:
        keeper.restrict({"demo/har": (digest,)})
    assert node.boot().quarantined == set(digests[1:])


def test_damaged_restrictions_do_not_stop_the_node(node):
    (node.folder / "restrictions.json").write_bytes(b"{")
    keeper = node.boot()
    assert keeper.quarantined == frozenset()
    assert keeper.restrict({"demo/har": (DIGEST,)})
