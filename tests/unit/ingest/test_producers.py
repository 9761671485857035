"""Who may send events: tokens, the streams they are for, and a file that changes or goes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.errors import UserMustActError
from skerry_edge.ingest.errors import RefusedError
from skerry_edge.ingest.producers import MAX_PRODUCERS, NOBODY, read_note, read_producers
from skerry_edge.ingest.producers_keeper import FILE, ProducersKeeper

DESK, LINE, NEXT = "desk-0123456789abcdefghij", "line+/~._0123456789abc==", "next-0123456789abcdefghij"


def entry(name, token, *streams):
    return {"name": name, "token": token, "streams": list(streams)}


def document(*producers, anonymous=()):
    return json.dumps({"producers": producers, "anonymous": list(anonymous)}).encode()


SITE = document(
    entry("desk", DESK, "consent", "visits"),
    entry("line", LINE, "*"),
    entry("desk", NEXT, "consent"),
    anonymous=["open"],
)


def answer(producers, stream, authorization):
    """None if the request passes."""
    try:
        producers.admit(stream, authorization)
    except RefusedError as error:
        return error.status.value, error.reason
    return None


UNKNOWN, FORBIDDEN = (401, "Unauthenticated"), (403, "NotAllowed")


@pytest.mark.parametrize(
    ("stream", "authorization", "expected"),
    [
        ("consent", f"Bearer {DESK}", None),
        ("consent", f"bearer  {DESK} ", None),
        ("consent", f"Bearer {NEXT}", None),
        ("visits", f"Bearer {NEXT}", FORBIDDEN),
        ("readings", f"Bearer {DESK}", FORBIDDEN),
        ("readings", f"Bearer {LINE}", None),
        ("consent", None, UNKNOWN),
        ("consent", "", UNKNOWN),
        ("consent", "Bearer", UNKNOWN),
        ("consent", "Bearer ", UNKNOWN),
        ("consent", DESK, UNKNOWN),
        ("consent", f"Basic {DESK}", UNKNOWN),
        ("consent", f"Bearer {DESK}x", UNKNOWN),
        ("consent", f"Bearer {DESK[:-1]}", UNKNOWN),
        ("consent", f"Bearer {DESK.upper()}", UNKNOWN),
        ("consent", "Bearer ü\udcff", UNKNOWN),
        ("no-such-stream", None, UNKNOWN),
        ("open", None, None),
        ("open", "Bearer whatever", None),
    ],
)
def test_tokens_open_their_streams_alone(stream, authorization, expected):
    producers = read_producers(SITE)
    assert answer(producers, stream, authorization) == expected
    assert answer(read_note(producers.to_note()), stream, authorization) == expected


def test_tokens_are_not_kept():
    producers = read_producers(SITE)
    for token in (DESK, LINE, NEXT):
        assert token not in repr(producers)
        assert token.encode() not in producers.to_note()


def test_nobody_may_do_nothing():
    assert answer(NOBODY, "consent", f"Bearer {DESK}") == UNKNOWN
    assert answer(read_producers(document(anonymous=["*"])), "consent", None) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        document(entry("", DESK, "*")),
        document(entry("desk", "short", "*")),
        document(entry("desk", f"{DESK} ", "*")),
        document({**entry("desk", DESK), "stream": "consent"}),
        document({**entry("desk", DESK), "streams": "consent"}),
        document(*[entry("desk", DESK)] * (MAX_PRODUCERS + 1)),
        json.dumps({"producers": [], "anonymus": ["*"]}).encode(),
    ],
)
def test_what_is_no_list_of_producers(data):
    with pytest.raises(UserMustActError) as raised:
        read_producers(data)
    assert raised.value.reason == "ProducersInvalid"
    assert DESK not in str(raised.value)


@given(st.binary(max_size=200))
def test_what_is_no_note_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011 - any kind of it
        read_note(data)


class Node:
    def __init__(self, root):
        self.folder, self.note = root / "secret", root / "note.json"
        self.folder.mkdir()
        self.restart()

    def restart(self):
        self.keeper = ProducersKeeper(self.folder, self.note)

    def give(self, data):
        path = self.folder / FILE
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
        self.keeper.look()

    def answers(self, token=DESK):
        return answer(self.keeper, "consent", f"Bearer {token}"), answer(self.keeper, "consent", None)


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


KNOWN, OPEN, CLOSED = (None, UNKNOWN), (None, None), (UNKNOWN, UNKNOWN)


def test_where_nobody_is_named_everybody_may_send(node):
    assert node.answers() == OPEN
    node.restart()
    assert node.answers() == OPEN
    assert not node.note.exists()


@pytest.mark.parametrize("later", [None, b"{", document(entry("desk", "short", "*"))])
@pytest.mark.parametrize("restarts", [False, True])
def test_whoever_was_named_stays_whatever_becomes_of_the_file(node, later, restarts):
    node.give(SITE)
    assert node.answers() == KNOWN
    node.give(later)
    if restarts:
        node.restart()
    assert node.answers() == KNOWN
    node.give(document(entry("desk", NEXT, "consent")))
    assert node.answers() == CLOSED
    assert node.answers(NEXT) == KNOWN
    node.give(document(anonymous=["*"]))
    assert node.answers() == OPEN


def test_a_file_that_was_never_understood_opens_nothing(node):
    node.give(b"{")
    assert node.answers() == CLOSED
    node.give(SITE)
    assert node.answers() == KNOWN


def test_a_note_that_is_damaged_opens_nothing(node):
    node.note.write_bytes(b"{")
    node.restart()
    assert node.answers() == CLOSED
    node.give(SITE)
    assert node.answers() == KNOWN
    node.give(None)
    node.restart()
    assert node.answers() == KNOWN
    assert node.note.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_is_full_keeps_nobody_out_and_is_tried_again(node, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr("skerry_edge.ingest.producers_keeper.write_file", full)
        node.give(SITE)
        assert node.answers() == KNOWN
    node.keeper.look()
    node.give(None)
    node.restart()
    assert node.answers() == KNOWN
