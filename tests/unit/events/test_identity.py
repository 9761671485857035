"""When a log is still the same log."""

import json
import shutil
from dataclasses import replace

import pytest

from skerry_edge.events import identity as module
from skerry_edge.events.identity import read_fence, read_identity
from skerry_edge.events.reader import LogReader
from skerry_edge.events.segment import segment_firsts, segment_path
from tests.unit.events.parts import SETTINGS, all_records, body, record, records


def filled(machine):
    log = machine.start()
    log.append(records(3))
    log.close()
    return log.epoch


def aside(machine):
    return sorted(path.name for path in machine.root.iterdir() if "@" in path.name)


def copied(machine):
    copy = machine.root / "copy"
    shutil.copytree(machine.folder, copy)
    shutil.rmtree(machine.folder)
    copy.rename(machine.folder)


def renamed_node(machine):
    machine.owner = replace(machine.owner, node="node-2")


def other_site(machine):
    machine.owner = replace(machine.owner, site="site-b")


def fenced(machine):
    fence = {"vitals": {"epoch": read_identity(machine.folder).epoch}, "alarms": {"epoch": "00"}}
    (machine.root / "log-fence.json").write_text(json.dumps(fence))


def forgotten(machine):
    (machine.folder / "log.json").write_text("{torn")


@pytest.mark.parametrize("change", [copied, renamed_node, other_site, fenced, forgotten])
def test_another_log_begins_and_what_there_was_is_kept(machine, change):
    epoch = filled(machine)
    change(machine)
    log = machine.start()
    assert log.epoch != epoch
    assert log.append([record(9)]) == range(1, 2)
    assert [each.body for each in all_records(machine.folder)] == [body(9)]
    assert aside(machine) == [f"vitals@{epoch}"]
    kept = machine.root / aside(machine)[0]
    assert LogReader(kept).identity.epoch == epoch
    assert LogReader(kept).identity.node == "node-1"
    assert [(each.seq, each.body) for each in all_records(kept)] == [(number, body(number)) for number in (1, 2, 3)]
    log.close()
    if change is not fenced:
        assert machine.start().epoch == log.epoch
        assert aside(machine) == [kept.name]


def test_a_folder_can_be_set_aside_more_than_once(machine):
    epoch = filled(machine)
    backup = machine.root.parent / "backup"
    shutil.copytree(machine.folder, backup)
    for _ in range(3):
        copied(machine)
        machine.start().close()
        shutil.rmtree(machine.folder)
        shutil.copytree(backup, machine.folder)
    assert aside(machine) == [f"vitals@{epoch}", f"vitals@{epoch}-2", f"vitals@{epoch}-3"]


def emptied(machine):
    for base in segment_firsts(machine.folder):
        segment_path(machine.folder, base).unlink()


def lost(machine):
    shutil.rmtree(machine.folder)


@pytest.mark.parametrize("change", [emptied, lost])
def test_numbers_that_start_over_start_over_in_another_epoch(machine, change):
    epoch = filled(machine)
    change(machine)
    log = machine.start()
    assert log.epoch != epoch
    assert log.append([record(1)]) == range(1, 2)
    assert aside(machine) == []


def nothing(machine):
    pass


def rebooted(machine):
    machine.reboot()


def moved(machine):
    elsewhere = machine.root.parent / "elsewhere"
    machine.root.rename(elsewhere)
    machine.root = elsewhere


def other_fence(machine):
    (machine.root / "log-fence.json").write_text(json.dumps({"vitals": {"epoch": "0123456789abcdef"}}))


def silly_fence(machine):
    (machine.root / "log-fence.json").write_text(json.dumps([1, 2]))


@pytest.mark.parametrize("change", [nothing, rebooted, moved, other_fence, silly_fence])
def test_it_is_still_the_same_log(machine, change):
    epoch = filled(machine)
    change(machine)
    log = machine.start()
    assert log.epoch == epoch
    (given,) = log.append([record(4)])
    assert given >= 4
    assert len(all_records(machine.folder)) == 4


@pytest.mark.parametrize("change", [nothing, rebooted])
def test_it_says_behind_which_number_it_was_opened(machine, change):
    filled(machine)
    change(machine)
    log = machine.start()
    opened = read_identity(machine.folder).opened
    assert log.append([record(4), record(5)]) == range(opened + 1, opened + 3)
    assert read_identity(machine.folder).opened == opened


def test_an_identity_of_an_older_version_does_not_say_it(machine):
    filled(machine)
    path = machine.folder / "log.json"
    noted = json.loads(path.read_bytes())
    del noted["opened"]
    path.write_text(json.dumps(noted))
    assert read_identity(machine.folder).opened is None


def test_a_log_that_was_never_written_keeps_its_epoch(machine):
    log = machine.start()
    log.close()
    assert machine.start().epoch == log.epoch


def test_where_no_birth_is_known_device_and_inode_tell(machine, monkeypatch):
    monkeypatch.setattr(module, "_birth_ns", lambda path: None)
    epoch = filled(machine)
    assert machine.start().epoch == epoch
    machine.logs.close()
    copied(machine)
    assert machine.start().epoch != epoch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"epoch": "00"}, "b": {"epoch": "11", "more": 1}}', {"a": "00", "b": "11"}),
        ("", {}),
        ("[", {}),
        ("[]", {}),
        ('{"a": 1}', {}),
        ("[" * 100_000, {}),
    ],
)
def test_a_fence_is_read_or_passed_over(tmp_path, text, expected):
    path = tmp_path / "fence.json"
    path.write_text(text)
    assert read_fence(path) == expected
    assert read_fence(tmp_path / "none") == {}


@pytest.mark.parametrize("name", ["epoch", "site", "node", "bootId", "place", "expired", "expiredSeq"])
def test_an_identity_lacks_nothing(machine, name):
    filled(machine)
    path = machine.folder / "log.json"
    noted = json.loads(path.read_bytes())
    assert read_identity(machine.folder) is not None
    del noted[name]
    path.write_text(json.dumps(noted))
    assert read_identity(machine.folder) is None


def test_streams_have_epochs_of_their_own(machine):
    one = machine.start()
    two = machine.logs.open(replace(SETTINGS, name="alarms"))
    assert one.epoch != two.epoch
