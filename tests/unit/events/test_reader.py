"""Reading by position, whatever others do to the files meanwhile."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_edge.events import reader as module
from skerry_edge.events.holes import Hole, HoleReason
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import MAX_BODY, NewRecord
from skerry_edge.events.rows import Rows
from skerry_edge.events.segment import segment_firsts, segment_path
from tests.unit.events.parts import Machine, blocks, die, record, records, seqs


def numbers(batches):
    return [each.seq for batch in batches for each in batch.records()]


def test_a_log_that_does_not_exist_yet(tmp_path):
    reader = LogReader(tmp_path / "none")
    assert reader.read(1, 10) == []
    assert reader.holes(1, 10) == ()
    assert reader.identity is None


@pytest.mark.slow
@given(
    start=st.integers(1, 130),
    limit=st.integers(1, 40),
    size=st.integers(1, 3000),
    group=st.integers(1, 30),
)
@settings(max_examples=40, deadline=None)
def test_reading_from_anywhere_within_limits(tmp_path_factory, start, limit, size, group):
    machine = Machine(tmp_path_factory.mktemp("log"), segment_bytes=2000)
    log = machine.start()
    blocks(log, (range(first, min(first + group, 121)) for first in range(1, 121, group)))
    log.close()
    batches = LogReader(machine.folder).read(start, limit, size)
    found = numbers(batches)
    assert found == list(range(start, start + len(found)))
    assert len(found) <= limit
    taken = sum(int(batch.offsets[-1]) - int(batch.offsets[0]) + 30 * len(batch) for batch in batches)
    assert taken <= size or len(found) == 1
    assert bool(found) == (start <= 120)
    if found and found[-1] < 120 and len(found) < limit:
        (following,) = LogReader(machine.folder).read(found[-1] + 1, 1)
        assert taken + len(following.body(0)) + 30 > size


def test_a_record_larger_than_asked_for_is_read_alone(machine):
    log = machine.start()
    log.append([NewRecord(b"x" * MAX_BODY, 1, 2)] * 3)
    assert numbers(LogReader(machine.folder).read(1, 10, 100)) == [1]


def test_what_was_read_is_not_scanned_again(machine, monkeypatch):
    log = machine.start()
    reader = LogReader(machine.folder)
    scanned = []
    real = module.scan

    def scan(*args):
        for part in real(*args):
            scanned.append(part.first)
            yield part

    monkeypatch.setattr(module, "scan", scan)
    for number in range(1, 6):
        log.append([record(number)])
    assert numbers(reader.read(1, 100)) == [1, 2, 3, 4, 5]
    log.append([record(6)])
    scanned.clear()
    assert numbers(reader.read(6, 100)) == [6]
    assert scanned == [6]
    assert numbers(reader.read(2, 2)) == [2, 3]
    log.append(records(3, start=7))
    assert numbers(reader.read(7, 1)) == [7]
    scanned.clear()
    assert numbers(reader.read(8, 1)) == [8]
    assert numbers(reader.read(9, 100)) == [9]
    assert scanned == []


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9), st.integers(1, 60), st.integers(1, 20)), max_size=12))
def test_reads_as_a_forgetful_reader_does(steps):
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder) / "log", segment_bytes=900)
        log = machine.start()
        reader = LogReader(machine.folder)
        for appends, group, seq, limit in steps:
            blocks(log, [range(group)] * appends)
            fresh = LogReader(machine.folder)
            assert numbers(reader.read(seq, limit)) == numbers(fresh.read(seq, limit))
        log.close()


def test_segments_removed_meanwhile_are_passed_over(machine):
    machine.segment_bytes = 1000
    log = machine.start()
    blocks(log, ([number] for number in range(1, 61)))
    reader = LogReader(machine.folder)
    reader.read(1, 3)
    first, second, third, *_ = segment_firsts(machine.folder)
    segment_path(machine.folder, first).unlink()
    segment_path(machine.folder, second).unlink()
    assert numbers(reader.read(4, 1)) == [third]
    assert reader.holes(1, 60) == (Hole(1, third - 1, HoleReason.REMOVED),)


def test_a_segment_removed_between_listing_and_opening(machine, monkeypatch):
    machine.segment_bytes = 1000
    log = machine.start()
    blocks(log, ([number] for number in range(1, 61)))
    _, second, third, *_ = segment_firsts(machine.folder)
    listing = module.segment_firsts

    def then_removed(directory):
        firsts = listing(directory)
        segment_path(directory, second).unlink(missing_ok=True)
        return firsts

    monkeypatch.setattr(module, "segment_firsts", then_removed)
    reader = LogReader(machine.folder)
    found = numbers(reader.read(1, 1000))
    assert found == [*range(1, second), *range(third, 61)]


def test_a_segment_begun_between_listing_and_the_mark(machine, monkeypatch):
    machine.segment_bytes = 1000
    log = machine.start()
    log.append(records(3))
    listing = module.segment_firsts
    grown = []

    def then_grown(directory):
        firsts = listing(directory)
        if not grown:
            grown.append(log.append(records(200, 4)))
        return firsts

    monkeypatch.setattr(module, "segment_firsts", then_grown)
    assert numbers(LogReader(machine.folder).read(1, 1000)) == list(range(1, 204))


def test_a_half_written_mark_hides_and_does_not_mislead(machine):
    log = machine.start()
    log.append(records(3))
    reader = LogReader(machine.folder)
    assert numbers(reader.read(1, 10)) == [1, 2, 3]
    mark = machine.folder / "durable"
    whole = mark.read_bytes()
    for cut in (whole[:-1], bytes(len(whole)), b"", whole + b"x", bytes([whole[0] ^ 1]) + whole[1:]):
        mark.write_bytes(cut)
        assert reader.read(1, 10) == []
    mark.write_bytes(whole)
    assert numbers(reader.read(1, 10)) == [1, 2, 3]


@pytest.mark.parametrize("change", ["replaced", "cut"])
def test_a_file_that_is_no_longer_the_one_read_is_read_anew(machine, change):
    log = machine.start()
    for number in range(1, 6):
        log.append([record(number)])
    reader = LogReader(machine.folder)
    reader.read(1, 100)
    path = segment_path(machine.folder, 1)
    data = path.read_bytes()
    if change == "replaced":
        path.rename(path.with_suffix(".old"))
    else:
        path.write_bytes(b"")
        assert reader.read(6, 100) == []
    path.write_bytes(data)
    assert numbers(reader.read(4, 100)) == [4, 5]


def test_another_epoch_is_another_log(machine):
    log = machine.start()
    log.append(records(5))
    reader = LogReader(machine.folder)
    assert numbers(reader.read(1, 10)) == [1, 2, 3, 4, 5]
    log.close()
    machine.folder.rename(machine.root / "elsewhere")
    other = machine.start()
    other.append(records(2))
    assert numbers(reader.read(1, 10)) == [1, 2]
    assert reader.identity.epoch == other.epoch


def test_damage_is_told_once(machine, capsys):
    log = machine.start()
    for number in range(1, 6):
        log.append([record(number)])
    log.roll()
    path = segment_path(machine.folder, 1)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    reader = LogReader(machine.folder)
    for _ in range(3):
        assert len(numbers(reader.read(1, 100))) == 4
    assert capsys.readouterr().out.count("log segment damaged") == 1


def test_a_writer_that_died_before_its_sync_leaves_nothing_to_see(machine):
    log = machine.start()
    log.append(records(2))
    log._tail.write(Rows.of(records(2, 3)))
    die(log)
    assert seqs(machine.folder) == [1, 2]
