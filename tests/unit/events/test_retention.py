"""What becomes of closed segments: they expire, and what must not stay is taken out of them."""

import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest

from skerry_core.batch.flags import Flags
from skerry_edge.events import logs as logs_module
from skerry_edge.events.holes import Hole, HoleReason
from skerry_edge.events.identity import read_identity
from skerry_edge.events.keeper import LogKeeper
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import BLANK
from skerry_edge.events.segment import segment_firsts, segment_path
from tests.unit.events.parts import SETTINGS, all_records, body, record, records, seqs

DAY = 86_400


def rolled(log, groups):
    """Each group of numbers in a segment of its own."""
    for group in groups:
        log.append([record(number) for number in group])
        log.roll()


def test_records_past_their_age_go_sent_or_not(machine):
    log = machine.start()
    rolled(log, [range(1, 4), range(4, 6)])
    machine.pass_time(7 * DAY)
    rolled(log, [range(6, 9)])
    machine.pass_time(DAY - 1)
    machine.logs.expire()
    assert seqs(machine.folder) == list(range(1, 9))
    machine.pass_time(1)
    machine.logs.expire()
    assert seqs(machine.folder) == [6, 7, 8]
    status = log.status()
    assert (status.expired, status.expired_seq, status.first_seq) == (5, 5, 6)
    assert LogReader(machine.folder).holes(1, 8) == (Hole(1, 5, HoleReason.EXPIRED),)
    log.close()
    status = machine.start().status()
    assert (status.expired, status.expired_seq) == (5, 5)


def test_a_clock_that_is_corrected_costs_nothing(machine):
    machine.wall = 10**18
    log = machine.start()
    rolled(log, [range(1, 4)])
    machine.wall = 2 * 10**18
    machine.logs.expire()
    machine.reboot()
    log.close()
    machine.start()
    machine.pass_time(3600)
    machine.logs.expire()
    assert len(seqs(machine.folder)) == 3
    machine.pass_time(8 * DAY)
    machine.logs.expire()
    assert seqs(machine.folder) == []


def test_the_segment_being_written_is_closed_in_time(machine, monkeypatch):
    log = machine.start()
    log.append(records(2))
    monkeypatch.setattr("skerry_edge.events.tail.time.monotonic", lambda: 1e12)
    machine.logs.expire()
    assert segment_firsts(machine.folder) == [1, 3]
    assert seqs(machine.folder) == [1, 2]
    machine.pass_time(8 * DAY)
    machine.logs.expire()
    assert (seqs(machine.folder), log.status().expired) == ([], 2)
    assert log.append([record(3)]) == range(3, 4)


def test_nothing_goes_before_that_is_noted(machine, monkeypatch):
    log = machine.start()
    rolled(log, [range(1, 4)])
    machine.pass_time(8 * DAY)

    def full(*_):
        raise OSError(28, "no space")

    monkeypatch.setattr("skerry_edge.events.log.write_identity", full)
    machine.logs.expire()
    assert seqs(machine.folder) == [1, 2, 3]
    assert log.status().expired == 0


def aside(machine, **owner):
    """A log of two segments, the later of them newer by a day, that is set aside for the next owner."""
    log = machine.start()
    rolled(log, [range(1, 4)])
    log.append(records(2, 4))
    log.close()
    machine.owner = replace(machine.owner, **owner)
    machine.start().append(records(1))
    (kept,) = machine.root.glob("vitals@*")
    return kept


def test_a_log_set_aside_expires_too_and_leaves_word(machine):
    kept = aside(machine, node="node-2")
    machine.pass_time(8 * DAY)
    machine.logs.expire()
    assert seqs(kept) == [4, 5]
    identity = read_identity(kept)
    assert (identity.expired, identity.expired_seq) == (3, 3)
    assert LogReader(kept).holes(1, 5) == (Hole(1, 3, HoleReason.EXPIRED),)
    machine.pass_time(DAY)
    for _ in range(2):
        machine.logs.expire()
        identity = read_identity(kept)
        assert (segment_firsts(kept), identity.expired, identity.expired_seq) == ([], 5, 5)
        assert LogReader(kept).holes(1, 6) == (Hole(1, 5, HoleReason.EXPIRED), Hole(6, 6, HoleReason.REMOVED))


@pytest.mark.parametrize("what", ["another site's", "a copy", "no log"])
def test_of_what_nobody_sends_no_word_is_left(machine, what):
    kept = aside(machine, **({"site": "site-b"} if what == "another site's" else {"node": "node-2"}))
    if what == "a copy":
        kept = kept.rename(kept.with_name(kept.name + "-2"))
    if what == "no log":
        (kept / "log.json").unlink()
    machine.pass_time(9 * DAY)
    machine.logs.expire()
    assert not kept.exists()


def test_bodies_are_taken_out_and_everything_else_stays(machine):
    log = machine.start()
    rolled(log, [range(1, 4), range(4, 8)])
    log.append(records(2, 8))
    before = all_records(machine.folder)
    assert machine.logs.redact("vitals", lambda text: json.loads(text)["n"] % 3 == 0) == 3
    after = all_records(machine.folder)
    for old, new in zip(before, after, strict=True):
        if old.seq % 3 == 0:
            assert new == replace(old, body=BLANK, flags=Flags.REDACTED)
        else:
            assert new == old
    raw = b"".join(path.read_bytes() for path in machine.folder.glob("*.seg"))
    assert body(2) in raw
    assert body(3) not in raw
    assert body(9) not in raw
    assert machine.logs.redact("vitals", lambda text: b"n" in text) == 6
    assert machine.logs.redact("vitals", lambda text: b"n" in text) == 0
    machine.logs.verify()
    assert log.status().damaged == 0


def test_segments_without_a_match_are_not_touched(machine):
    log = machine.start()
    rolled(log, [range(1, 4), range(4, 8)])
    inode = segment_path(machine.folder, 1).stat().st_ino
    assert machine.logs.redact("vitals", lambda text: json.loads(text)["n"] == 5) == 1
    assert segment_path(machine.folder, 1).stat().st_ino == inode


def test_damaged_bytes_may_hold_what_is_to_go(machine):
    log = machine.start()
    log.append(records(3))
    log.append(records(3, 4))
    log.append(records(3, 7))
    log.roll()
    path = segment_path(machine.folder, 1)
    raw = path.read_bytes()
    at = raw.index(body(4))
    path.write_bytes(raw[: at - 1] + b"X" + raw[at:])
    assert machine.logs.redact("vitals", lambda text: False) == 0
    assert body(5) not in path.read_bytes()
    assert seqs(machine.folder) == [1, 2, 3, 7, 8, 9]
    assert LogReader(machine.folder).holes(1, 9) == (Hole(4, 6, HoleReason.DAMAGED),)
    inode = path.stat().st_ino
    assert machine.logs.redact("vitals", lambda text: False) == 0
    assert path.stat().st_ino == inode
    machine.logs.verify()
    assert log.status().damaged_ranges == ((4, 6),)


def test_what_was_superseded_may_hold_what_is_to_go(machine, sync):
    log = machine.start()
    log.append(records(2))
    sync.failures = 1
    with pytest.raises(Exception, match="sync"):
        log.append(records(2, 3))
    log.append(records(2, 5))
    assert body(3) in segment_path(machine.folder, 1).read_bytes()
    assert machine.logs.redact("vitals", lambda text: False) == 0
    assert body(3) not in segment_path(machine.folder, 1).read_bytes()
    assert [each.body for each in all_records(machine.folder)] == [body(1), body(2), body(5), body(6)]


def test_a_log_set_aside_is_redacted_too(machine):
    machine.start().append(records(3))
    machine.logs.close()
    machine.owner = replace(machine.owner, node="node-2")
    machine.start().append(records(3))
    assert machine.logs.redact("vitals", lambda text: json.loads(text)["n"] == 2) == 2
    (kept,) = machine.root.glob("vitals@*")
    assert [each.body for each in all_records(kept)] == [body(1), BLANK, body(3)]


def test_a_redaction_that_fails_is_done_again(machine, monkeypatch):
    log = machine.start()
    rolled(log, [range(1, 4), range(4, 8)])
    real, calls = os.replace, []

    def once(*args):
        calls.append(args)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", once)
        with pytest.raises(OSError, match="Input/output"):
            machine.logs.redact("vitals", lambda text: True)
    assert calls
    assert real
    assert [each.body for each in all_records(machine.folder)] == [body(number) for number in range(1, 8)]
    assert machine.logs.redact("vitals", lambda text: True) == 7


def test_a_segment_uploaded_meanwhile_does_not_come_back(machine):
    log = machine.start()
    rolled(log, [range(1, 4), range(4, 8)])

    def matches(text):
        segment_path(machine.folder, 1).unlink(missing_ok=True)
        return True

    assert machine.logs.redact("vitals", matches) == 4
    assert seqs(machine.folder) == [4, 5, 6, 7]


def test_the_keeper_checks_once_and_then_expires(machine):
    log = machine.start()
    rolled(log, [range(1, 4), range(4, 6)])
    path = segment_path(machine.folder, 1)
    path.write_bytes(path.read_bytes()[:-8] + b"damaged!")
    machine.pass_time(9 * DAY)
    keeper = LogKeeper(machine.logs, period=0.01)
    keeper.start()
    while log.status().expired < 2:
        pass
    keeper.stop()
    assert log.status().damaged_ranges == ((1, 3),)
    assert read_identity(machine.folder).expired_seq == 5


@pytest.fixture
def keep(machine):
    """Keepers that are stopped in the end."""
    keepers = []

    def keep(**options):
        keepers.append(LogKeeper(machine.logs, period=0.01, **options))
        keepers[-1].start()
        return keepers[-1]

    yield keep
    for keeper in keepers:
        keeper.stop()


def spoiled(log):
    """A log whose first segment, of numbers 1 to 3, is damaged."""
    rolled(log, [range(1, 4), range(4, 6)])
    path = segment_path(log.directory, 1)
    path.write_bytes(path.read_bytes()[:-8] + b"damaged!")
    return log


def until(condition):
    while not condition():
        pass


def test_a_log_that_is_opened_later_is_checked_too(machine, keep):
    spoiled(machine.start(replace(SETTINGS, name="pulse")))
    machine.logs.close()
    first = spoiled(machine.start())
    keep()
    until(lambda: first.status().damaged)
    later = machine.logs.open(replace(SETTINGS, name="pulse"))
    until(lambda: later.status().damaged)
    assert first.status().damaged_ranges == later.status().damaged_ranges == ((1, 3),)


def test_a_check_that_fails_goes_on_where_it_was_and_holds_up_no_other(machine, keep, monkeypatch):
    log = spoiled(machine.start())
    other = spoiled(machine.logs.open(replace(SETTINGS, name="pulse")))
    failures = [OSError(5, "a bad disk")] * 3
    checked = []

    def inspect(directory, epoch, base, end):
        if directory == log.directory and base == 4 and failures:
            raise failures.pop()
        checked.append((directory.name, base))
        return real(directory, epoch, base, end)

    real = logs_module.inspect
    monkeypatch.setattr(logs_module, "inspect", inspect)
    keep()
    until(lambda: len(checked) == 4)
    assert sorted(checked) == [("pulse", 1), ("pulse", 4), ("vitals", 1), ("vitals", 4)]
    assert log.status().damaged_ranges == other.status().damaged_ranges == ((1, 3),)


def test_a_check_takes_its_time_and_ends_with_the_process(machine, keep):
    log = spoiled(machine.start())
    keeper = keep(bytes_per_second=1e-6)
    until(lambda: log.status().damaged)
    keeper.stop()


def test_an_age_that_was_shortened_holds_at_once(machine):
    log = machine.start()
    rolled(log, [range(1, 4)])
    machine.pass_time(2 * DAY)
    machine.logs.open(replace(SETTINGS, max_age=timedelta(days=1)))
    machine.logs.expire()
    assert seqs(machine.folder) == []
