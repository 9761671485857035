"""Which policy a node goes by, whatever became of the files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core import digest as digests
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES
from skerry_core.sync_policy.load import Origin, decide, load, load_policy
from tests.unit.sync_policy.policies import bodies, published, with_stream

ONE, TWO = with_stream("one"), with_stream("two")


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


class Node:
    def __init__(self, root):
        self.blobs = root / "store" / "blobs"
        self.last_good = root / "sync" / "sync-policy"
        (self.blobs / "sha256").mkdir(parents=True)
        self.last_good.parent.mkdir()

    def path(self, digest):
        return self.blobs / "sha256" / digests.hex_of(digest)

    def bring(self, document):
        digest, data = published(document)
        self.path(digest).write_bytes(data)
        return digest

    def load(self, digest):
        return load(self.blobs, digest, self.last_good)


def test_a_node_that_was_never_told_goes_by_the_default(node):
    found = node.load(None)
    assert (found.document, found.origin, found.digest, found.trouble) == (DEFAULT_POLICY, Origin.DEFAULT, None, None)
    assert not node.last_good.exists()


def test_what_is_assigned_and_here_is_in_force(node):
    digest = node.bring(ONE)
    found = node.load(digest)
    assert (found.document, found.origin, found.digest, found.trouble) == (ONE, Origin.ASSIGNED, digest, None)
    assert load_policy(node.blobs, digest, node.last_good) == ONE


@pytest.mark.parametrize(
    "break_it",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"0.25", b"0.75")),
        lambda path: path.write_bytes(path.read_bytes() + b" " * MAX_DOCUMENT_BYTES),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["missing", "empty", "cut off", "changed", "too long", "a folder"],
)
def test_what_can_not_be_read_leaves_the_last_good_one_in_force(node, break_it):
    first, second = node.bring(ONE), node.bring(TWO)
    node.load(first)
    break_it(node.path(second))
    found = node.load(second)
    assert (found.document, found.origin, found.digest) == (ONE, Origin.LAST_GOOD, first)
    assert second in found.trouble
    # Nor does it need the blob of the last good one, which may be gone by now.
    node.path(first).unlink()
    assert node.load(second).document == ONE


def test_an_assignment_that_names_no_policy_any_more_takes_none_away(node):
    first = node.bring(ONE)
    node.load(first)
    found = node.load(None)
    assert (found.document, found.origin, found.digest, found.trouble) == (ONE, Origin.LAST_GOOD, first, None)


def test_the_last_good_one_is_the_assigned_one_whatever_became_of_its_blob(node):
    digest = node.bring(ONE)
    node.load(digest)
    node.path(digest).unlink()
    found = node.load(digest)
    assert (found.document, found.origin, found.digest, found.trouble) == (ONE, Origin.ASSIGNED, digest, None)


@pytest.mark.parametrize("kept", [b"", b"\n", b"sha256:", b"\xff\n{}", b"x" * 100_000])
def test_a_broken_last_good_file_is_nothing_worse_than_none(node, kept):
    node.last_good.write_bytes(kept)
    found = node.load(None)
    assert (found.document, found.origin) == (DEFAULT_POLICY, Origin.DEFAULT)
    assert "last good" in found.trouble
    digest = node.bring(ONE)
    assert node.load(digest).origin is Origin.ASSIGNED
    assert node.load(None).document == ONE


def test_a_changed_last_good_file_does_not_count(node):
    node.load(node.bring(ONE))
    node.last_good.write_bytes(node.last_good.read_bytes().replace(b"0.25", b"0.75"))
    assert node.load(None).document == DEFAULT_POLICY


def test_a_policy_that_can_not_be_kept_holds_all_the_same(node):
    node.last_good.parent.rmdir()
    found = node.load(node.bring(ONE))
    assert (found.document, found.origin) == (ONE, Origin.ASSIGNED)
    assert "can't be kept" in found.trouble


def test_the_last_good_file_is_written_only_when_it_changes(node):
    digest = node.bring(ONE)
    node.load(digest)
    before = node.last_good.stat()
    node.load(digest)
    assert node.last_good.stat() == before


def test_a_policy_of_a_newer_hub_that_this_node_does_not_understand_is_not_half_understood():
    digest, data = published(ONE)
    newer = data.replace(b'"onMetered":"Hold"', b'"onMetered":"Ask"')
    found = decide(digests.of_bytes(newer), newer, digest.encode() + b"\n" + data)
    assert (found.document, found.origin) == (ONE, Origin.LAST_GOOD)


@given(data=bodies, kept=bodies, named=st.booleans())
def test_whatever_the_files_hold_there_is_a_policy(data, kept, named):
    found = decide(published(with_stream("vibration"))[0] if named else None, data, kept)
    assert found.document in (with_stream("vibration"), DEFAULT_POLICY)
    assert (found.origin is Origin.ASSIGNED) == (named and data == published(with_stream("vibration"))[1])
