"""A disk that can't read some pages any more, or nothing at all."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.events.disk_read import LOST, PAGE, read_at
from skerry_edge.events.holes import HoleReason
from skerry_edge.events.reader import LogReader
from skerry_edge.events.segment import segment_firsts, segment_path
from tests.unit.events.parts import SETTINGS, record, records, seqs

PAGES = 8


class BadDisk:
    """Stands before os.pread: bad pages of one file as Linux reads them, or no file at all."""

    def __init__(self):
        self.bad: dict[int, set[int]] = {}
        self.gone = False
        self._real = os.pread

    def spoil(self, path, *pages):
        self.bad[path.stat().st_ino] = set(pages)

    def __call__(self, descriptor, size, offset):
        bad = self.bad.get(os.fstat(descriptor).st_ino, set())
        end = min(offset + size, os.fstat(descriptor).st_size)
        pages = range(offset // PAGE, -(-end // PAGE)) if offset < end else ()
        first = next((page for page in pages if page in bad or self.gone), None)
        if first is None:
            return self._real(descriptor, size, offset)
        if first * PAGE <= offset:
            raise OSError(errno.EIO, "Input/output error")
        return self._real(descriptor, first * PAGE - offset, offset)


@pytest.fixture
def disk(monkeypatch):
    disk = BadDisk()
    monkeypatch.setattr(os, "pread", disk)
    return disk


@pytest.fixture
def filled(machine):
    """A log of two closed segments of several pages and one that is being written; about five records a page."""
    machine.segment_bytes = PAGES * PAGE
    log = machine.start()
    for number in range(1, 101):
        log.append([record(number, pad=700)])
    assert len(segment_firsts(machine.folder)) == 3
    return machine


@given(bad=st.sets(st.integers(0, PAGES)), offset=st.integers(0, PAGES * PAGE), size=st.integers(1, PAGES * PAGE))
def test_exactly_the_bad_pages_are_lost(tmp_path_factory, bad, offset, size):
    folder = tmp_path_factory.mktemp("log")
    path = folder / "file"
    data = bytes(range(1, 251)) * (PAGES * PAGE // 250)
    path.write_bytes(data)
    (folder / "log.json").write_bytes(b"{}")
    disk = BadDisk()
    disk.spoil(path, *bad)
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(os, "pread", disk)
        found = read_at(file.fileno(), size, offset)
    assert found == bytes(
        LOST[0] if at // PAGE in bad else data[at] for at in range(offset, min(offset + size, len(data)))
    )


@pytest.mark.parametrize("page", [0, 1, 3, PAGES - 1])
@pytest.mark.parametrize("segment", [0, 1])
def test_a_bad_page_costs_its_own_records_alone(filled, disk, page, segment):
    bases = segment_firsts(filled.folder)
    disk.spoil(segment_path(filled.folder, bases[segment]), page)
    left = seqs(filled.folder)
    lost = sorted({*range(1, 101)} - {*left})
    assert 0 < len(lost) < 10
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert bases[segment] <= lost[0]
    assert lost[-1] < bases[segment + 1]
    holes = LogReader(filled.folder).holes(1, 100)
    assert [(hole.first, hole.last, hole.reason) for hole in holes] == [(lost[0], lost[-1], HoleReason.DAMAGED)]
    filled.logs.verify()
    status = filled.logs.status()[SETTINGS.name]
    assert status.damaged_ranges == ((lost[0], lost[-1]),)
    assert status.damaged > 0


def test_a_log_with_a_bad_page_goes_on_after_a_restart(filled, disk):
    filled.logs.close()
    newest = segment_firsts(filled.folder)[-1]
    disk.spoil(segment_path(filled.folder, newest), 1)
    log = filled.start()
    assert log.status().damaged >= PAGE
    left = seqs(filled.folder)
    (number,) = log.append(records(1, 500))
    assert number > 100
    assert seqs(filled.folder) == [*left, number]
    assert 90 <= len(left) < 100


def test_what_is_on_a_bad_page_is_redacted_with_the_rest(filled, disk):
    bases = segment_firsts(filled.folder)
    disk.spoil(segment_path(filled.folder, bases[0]), 2)
    left = seqs(filled.folder)
    assert filled.logs.redact(SETTINGS.name, lambda _: True) == len(left)
    assert seqs(filled.folder) == left
    # Written anew, elsewhere on the disk.
    assert segment_path(filled.folder, bases[0]).stat().st_ino not in disk.bad


def test_a_disk_that_reads_nothing_is_not_taken_for_a_loss(filled, disk):
    disk.gone = True
    reader = LogReader(filled.folder)
    with pytest.raises(OSError, match="Input/output"):
        reader.read(1, 100)
    with pytest.raises(OSError, match="Input/output"):
        filled.logs.verify()
    assert filled.logs.status()[SETTINGS.name].damaged == 0
    disk.gone = False
    assert [number for batch in reader.read(1, 1000) for number in range(batch.first, batch.last + 1)][:3] == [1, 2, 3]


def test_other_errors_are_raised(filled, monkeypatch):
    def refused(*_):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "pread", refused)
    with pytest.raises(PermissionError):
        LogReader(filled.folder).read(1, 10)
