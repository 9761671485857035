"""A reader that remembers its place reads what one without memory does."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_edge.events import reader as module
from skerry_edge.events.identity import LogIdentity
from skerry_edge.events.log import PredictionLog
from skerry_edge.events.reader import LogReader, read_from
from skerry_edge.events.segment import segment_firsts, segment_path

IDENTITY = LogIdentity("ab12", rebooted=False)


def append(log, count):
    for _ in range(count):
        log.append(lambda seq: b"x" * (seq % 50))


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path, IDENTITY, segment_bytes=1000)
    yield log
    log.close()


def test_what_was_read_is_not_scanned_again(log, tmp_path, monkeypatch):
    scanned = []

    def scan(descriptor, offset):
        for part in original(descriptor, offset):
            scanned.append(part.seq)
            yield part

    original = module.scan
    monkeypatch.setattr(module, "scan", scan)
    reader = LogReader(tmp_path)
    append(log, 5)
    assert [record.seq for record in reader.read(1, 100)] == [1, 2, 3, 4, 5]
    append(log, 2)
    scanned.clear()
    assert [record.seq for record in reader.read(6, 100)] == [6, 7]
    assert scanned == [6, 7]


def test_going_back_is_possible(log, tmp_path):
    reader = LogReader(tmp_path)
    append(log, 5)
    reader.read(1, 100)
    assert [record.seq for record in reader.read(2, 2)] == [2, 3]


@pytest.mark.parametrize("change", ["replaced", "cut"])
def test_a_file_that_is_no_longer_the_one_read_is_read_anew(log, tmp_path, change):
    reader = LogReader(tmp_path)
    append(log, 5)
    reader.read(1, 100)
    path = segment_path(tmp_path, segment_firsts(tmp_path)[0])
    data = path.read_bytes()
    if change == "replaced":
        path.unlink()
        path.write_bytes(data)
    else:
        path.write_bytes(b"")
        assert reader.read(6, 100) == []
        path.write_bytes(data)
    assert [record.seq for record in reader.read(4, 100)] == [4, 5]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 60), st.integers(1, 20)), max_size=15))
def test_reads_as_a_forgetful_reader_does(steps):
    with tempfile.TemporaryDirectory() as folder:
        log = PredictionLog(Path(folder), IDENTITY, segment_bytes=600)
        reader = LogReader(Path(folder))
        for count, seq, limit in steps:
            append(log, count)
            assert reader.read(seq, limit) == read_from(Path(folder), seq, limit)
        log.close()
