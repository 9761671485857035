import errno
from itertools import count

import pytest

from skerry_core import digest
from skerry_core.errors import RetryError, WaitError
from skerry_edge.delivery.blobs import BlobFolder
from skerry_edge.delivery.fetch import SLOWEST, TURN_SECONDS, WHOLE, Turn, fetch
from skerry_edge.delivery.plan import Wanted

DATA = bytes(range(256)) * 20
DIGEST = digest.of_bytes(DATA)
SIZED = Wanted(DIGEST, len(DATA), len(DATA))
UNSIZED = Wanted(DIGEST, 1 << 20)


@pytest.fixture
def blobs(tmp_path):
    return BlobFolder(tmp_path)


class Source:
    """Serves bytes in chunks, as a store does, and notes from where it was asked."""

    def __init__(self, data=DATA, chunk=500, ends_after=None):
        self.data, self.chunk, self.ends_after = data, chunk, ends_after
        self.starts = []

    def __call__(self, _digest, start, limit, end):
        self.starts.append(start)
        data = self.data[:end]
        for sent, at in enumerate(range(start, len(data), self.chunk)):
            if sent == self.ends_after:
                return
            if at >= limit:
                raise WaitError("StoreRefused", "too large")
            yield data[at : at + self.chunk]


def go(wanted, blobs, source, interrupted=lambda: False, turn=WHOLE, clock=lambda: 0.0):
    return fetch(wanted, blobs, source, interrupted, turn, clock)


@pytest.mark.parametrize("wanted", [SIZED, UNSIZED], ids=["sized", "unsized"])
def test_whole_and_checked(blobs, wanted):
    assert go(wanted, blobs, Source())
    assert blobs.path(DIGEST).read_bytes() == DATA
    assert not blobs.partial(DIGEST).exists()


def test_goes_on_after_the_bytes_already_there(blobs):
    blobs.partial(DIGEST).write_bytes(DATA[:1234])
    source = Source()
    assert go(SIZED, blobs, source)
    assert source.starts == [1234]
    assert blobs.path(DIGEST).read_bytes() == DATA


def test_killed_between_the_last_byte_and_the_check_asks_for_nothing(blobs):
    blobs.partial(DIGEST).write_bytes(DATA)
    source = Source()
    assert go(SIZED, blobs, source)
    assert source.starts == []


@pytest.mark.parametrize(
    ("wanted", "left"), [(UNSIZED, DATA[:7]), (SIZED, DATA + b"more")], ids=["unsized", "longer than whole"]
)
def test_starts_anew_where_resuming_makes_no_sense(blobs, wanted, left):
    blobs.partial(DIGEST).write_bytes(left)
    source = Source()
    assert go(wanted, blobs, source)
    assert source.starts == [0]
    assert blobs.path(DIGEST).read_bytes() == DATA


def test_wrong_bytes_are_discarded(blobs):
    with pytest.raises(WaitError, match="another digest") as caught:
        go(SIZED, blobs, Source(b"x" * len(DATA)))
    assert caught.value.reason == "DigestMismatch"
    assert not blobs.partial(DIGEST).exists()
    assert not blobs.path(DIGEST).exists()


def test_bytes_damaged_on_disk_are_discarded_and_the_next_try_heals(blobs):
    blobs.partial(DIGEST).write_bytes(b"\0" * 1000)
    with pytest.raises(WaitError):
        go(SIZED, blobs, Source())
    assert go(SIZED, blobs, Source())


def test_a_connection_that_ends_early_keeps_what_came(blobs):
    with pytest.raises(RetryError) as caught:
        go(SIZED, blobs, Source(ends_after=3))
    assert caught.value.reason == "DownloadTruncated"
    assert blobs.partial(DIGEST).read_bytes() == DATA[:1500]


def test_an_interruption_ends_the_turn_and_keeps_what_came(blobs):
    times = count()
    assert not go(SIZED, blobs, Source(), interrupted=lambda: next(times) == 1)
    assert blobs.partial(DIGEST).read_bytes() == DATA[:1000]


def test_a_long_turn_ends_without_blame_if_enough_came(blobs):
    big = b"x" * (SLOWEST * 200)
    wanted = Wanted(digest.of_bytes(big), len(big), len(big))
    clock = count(step=TURN_SECONDS / 2)
    assert not fetch(wanted, blobs, Source(big, chunk=SLOWEST * 50), lambda: False, WHOLE, lambda: next(clock))


def test_a_crawling_store_is_a_failure_that_keeps_what_came(blobs):
    clock = count(step=TURN_SECONDS / 2)
    with pytest.raises(RetryError) as caught:
        fetch(SIZED, blobs, Source(chunk=1), lambda: False, WHOLE, lambda: next(clock))
    assert caught.value.reason == "StoreSlow"
    assert blobs.partial(DIGEST).stat().st_size == 3


def test_a_store_that_sends_too_much_is_never_believed(blobs):
    larger = Source(DATA + b"and more")
    with pytest.raises(WaitError) as caught:
        go(SIZED, blobs, larger)
    assert caught.value.reason in {"StoreRefused", "DigestMismatch"}
    assert not blobs.path(DIGEST).exists()


@pytest.mark.parametrize(
    ("number", "reason", "kept"), [(errno.ENOSPC, "DiskTooSmall", True), (errno.EIO, "DiskFault", False)]
)
def test_the_disk_failing_has_its_own_reasons(blobs, monkeypatch, number, reason, kept):
    def fail(_digest):
        raise OSError(number, "injected")

    monkeypatch.setattr(blobs, "admit", fail)
    with pytest.raises((WaitError, RetryError)) as caught:
        go(SIZED, blobs, Source())
    assert caught.value.reason == reason
    assert blobs.partial(DIGEST).exists() is kept


@pytest.mark.parametrize("wanted", [SIZED, UNSIZED], ids=["sized", "unsized"])
@pytest.mark.parametrize("piece", [1000, 1024, len(DATA) - 1, len(DATA), len(DATA) + 1])
def test_comes_in_pieces_of_exactly_what_is_allowed(blobs, wanted, piece):
    source = Source()
    for _ in range(len(DATA) // piece + 2):
        before = blobs.partial(DIGEST).stat().st_size if blobs.partial(DIGEST).exists() else 0
        if go(wanted, blobs, source, turn=Turn(piece)):
            break
        assert blobs.partial(DIGEST).stat().st_size == before + piece
    assert blobs.path(DIGEST).read_bytes() == DATA
    assert source.starts[1:] == list(range(piece, len(DATA) + 1, piece))[: len(source.starts) - 1]


def test_a_piece_that_ends_early_is_told(blobs):
    with pytest.raises(RetryError) as caught:
        go(SIZED, blobs, Source(ends_after=1), turn=Turn(1000))
    assert caught.value.reason == "DownloadTruncated"


def test_a_download_that_is_slowed_down_is_not_called_slow(blobs):
    clock = count(step=TURN_SECONDS / 2)
    assert not fetch(SIZED, blobs, Source(chunk=40), lambda: False, Turn(rate=1), lambda: next(clock))
