"""The whole log against a model, by a machine that appends, kills, cuts power, breaks disks and bends clocks."""

import os
import random
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skerry_edge.events import log as log_module
from skerry_edge.events.holes import HoleReason
from skerry_edge.events.mark import read_mark
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import BLANK, NewRecord
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.events.settings import LogFailedError
from tests.unit.events.parts import NOW, SETTINGS, Machine, die


class LogMachine(RuleBasedStateMachine):
    """`stored` is what was acknowledged, by epoch and number; `maybe` what a power cut may still take."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(log_module, "SYNC_DELAY", 0.0)
        self.failures = 0
        # Held open, so that no other file gets the inode.
        self.failed_files: dict[int, int] = {}
        self.patch.setattr(os, "fdatasync", self._fdatasync)
        self.patch.setattr(os, "fsync", lambda descriptor: None)
        self.temporary = Path(tempfile.mkdtemp(prefix="skerry-log"))
        self.machine = Machine(self.temporary / "log", segment_bytes=1500)
        self.stored: dict[tuple[str, int], bytes] = {}
        self.maybe: dict[tuple[str, int], bytes] = {}
        self.rejected: set[bytes] = set()
        self.given: set[tuple[str, int]] = set()
        self.damaged: set[tuple[str, int]] = set()
        self.spoiled: set[str] = set()
        self.gone: set[tuple[str, int]] = set()
        self.number = 0
        self.latest: dict[str, int] = {}

    def _fdatasync(self, descriptor):
        """As quick as can be: nobody cuts the power here but by writing over what wasn't synced."""
        inode = os.fstat(descriptor).st_ino
        assert inode not in self.failed_files, "synced again after a failure"
        if self.failures:
            self.failures -= 1
            self.failed_files[inode] = os.dup(descriptor)
            raise OSError(5, "Input/output error")

    def teardown(self):
        try:
            self.machine.logs.close()
        finally:
            for descriptor in self.failed_files.values():
                os.close(descriptor)
            self.patch.undo()
            shutil.rmtree(self.temporary)

    @initialize()
    def begin(self):
        self._start()

    def _start(self):
        self.log = self.machine.start()
        # The syncing thread would sync when it likes; here that is a rule.
        self.patch.setattr(self.log, "_sync_forever", lambda: None)

    def _record(self):
        self.number += 1
        return NewRecord(b'{"n":%d,"pad":"%s"}' % (self.number, b"x" * (self.number % 50)), NOW, NOW)

    def _give(self, seq):
        identity = (self.log.epoch, seq)
        assert identity not in self.given, "a number was given out twice"
        self.given.add(identity)
        return identity

    @rule(count=st.integers(1, 12))
    def append(self, count):
        new = [self._record() for _ in range(count)]
        for seq, each in zip(self.log.append(new), new, strict=True):
            self.stored[self._give(seq)] = each.body
        self._settle()

    @rule(count=st.integers(1, 5))
    def append_soon(self, count):
        for _ in range(count):
            new = self._record()
            seq = self.log.append_soon(lambda _, new=new: new)
            self.maybe[self._give(seq)] = new.body

    @rule()
    def sync(self):
        self.log.sync()
        self._settle()

    def _settle(self):
        self.stored |= self.maybe
        self.maybe = {}

    @rule(count=st.integers(1, 5))
    def append_to_a_disk_that_fails(self, count):
        new = [self._record() for _ in range(count)]
        self.failures = 1
        try:
            seqs = self.log.append(new)
        except LogFailedError:
            self.rejected |= {each.body for each in new}
            self.failures = 0
        else:
            # The failure hit the closing of the segment before; these went to the next one.
            for seq, each in zip(seqs, new, strict=True):
                self.stored[self._give(seq)] = each.body
        assert not self.failures
        # Whatever was promised has been written anew, durably.
        self._settle()

    @rule()
    def kill(self):
        die(self.log)
        self._start()
        self._settle()

    @rule()
    def stop(self):
        self.log.close()
        self._start()
        self._settle()

    @rule(seed=st.integers(0, 1000))
    def cut_the_power(self, seed):
        """Of what wasn't synced a part is there, a part isn't, a part is torn."""
        chance = random.Random(seed)
        die(self.log)
        folder = self.machine.folder
        base = segment_firsts(folder)[-1]
        mark = read_mark(folder, self.log.epoch)
        path = segment_path(folder, base)
        data = bytearray(path.read_bytes())
        assert mark.base == base
        kept = chance.randint(mark.end, max(mark.end, len(data.rstrip(b"\0"))))
        data[kept:] = bytes(len(data) - kept)
        if chance.random() < 0.5 and kept > mark.end:
            data[chance.randint(mark.end, kept - 1)] ^= chance.randint(1, 255)
        path.write_bytes(data)
        if chance.random() < 0.3:
            # Without it, what was torn can't be told from what was damaged.
            (folder / "durable").unlink()
            self.spoiled.add(self.log.epoch)
        self.machine.reboot()
        self._start()
        found = self._read(folder)
        for identity, body in self.maybe.items():
            if identity in found:
                self.stored[identity] = body
        self.maybe = {}

    @rule(seed=st.integers(0, 1000))
    def spoil_a_byte(self, seed):
        """At rest, below the mark; found by reading everything."""
        chance = random.Random(seed)
        self.log.close()
        folder = self.machine.folder
        base = chance.choice(segment_firsts(folder))
        mark = read_mark(folder, self.log.epoch)
        path = segment_path(folder, base)
        data = bytearray(path.read_bytes())
        end = mark.end if mark.base == base else len(data)
        before = self._read(folder)
        at = chance.randrange(end)
        data[at] ^= chance.randint(1, 255)
        path.write_bytes(data)
        self.spoiled.add(self.log.epoch)
        self._settle()
        self._start()
        self.machine.logs.verify()
        lost = before.keys() - self._read(folder).keys()
        assert len(lost) <= 12, "one byte cost more than one block"
        self.damaged |= lost
        for identity in lost:
            del self.stored[identity]
        status = self.log.status()
        assert bool(status.damaged) >= bool(lost)
        told = {seq for first, last in status.damaged_ranges for seq in range(first, last + 1)}
        assert {seq for _, seq in lost} <= told

    @rule(modulus=st.integers(2, 5))
    def redact(self, modulus):
        def matches(body):
            return len(body) % modulus == 0

        self._settle()
        count = self.machine.logs.redact(SETTINGS.name, matches)
        hit = [identity for identity, body in self.stored.items() if body != BLANK and matches(body)]
        assert count == len(hit)
        for identity in hit:
            self.stored[identity] = BLANK

    @rule(days=st.integers(1, 9))
    def let_time_pass(self, days):
        self.machine.pass_time(days * 86_400)
        self.machine.logs.expire()
        expired = self.log.status().expired_seq
        found = self._read_all()
        # What was promised is durable, too, once its segment was closed, and expires with that.
        for kept in (self.stored, self.maybe):
            for identity in list(kept):
                epoch, seq = identity
                if (epoch == self.log.epoch and seq <= expired) or (epoch != self.log.epoch and identity not in found):
                    self.gone.add(identity)
                    del kept[identity]

    @rule(offset=st.integers(-(10**18), 10**18))
    def bend_the_clock(self, offset):
        self.machine.wall = max(0, self.machine.wall + offset)

    @precondition(lambda self: len(segment_firsts(self.machine.folder)) > 2)
    @rule(count=st.integers(1, 2))
    def upload(self, count):
        """What sync does: it unlinks the oldest closed segments."""
        firsts = segment_firsts(self.machine.folder)
        for first in firsts[:count]:
            segment_path(self.machine.folder, first).unlink()
        for identity in list(self._here()):
            if identity[1] < firsts[count]:
                self.gone.add(identity)
                del self.stored[identity]

    @rule()
    def copy_the_folder(self):
        self.log.close()
        self._settle()
        folder = self.machine.folder
        shutil.copytree(folder, folder.with_name("copy"))
        shutil.rmtree(folder)
        folder.with_name("copy").rename(folder)
        before = self.log.epoch
        self._start()
        assert self.log.epoch != before

    @rule()
    def set_the_node_name(self):
        self.log.close()
        self._settle()
        self.machine.owner = replace(self.machine.owner, node=self.machine.owner.node + "x")
        self._start()

    def _here(self):
        return {identity: body for identity, body in self.stored.items() if identity[0] == self.log.epoch}

    def _read_all(self):
        found = {}
        for folder in [path for path in self.machine.root.iterdir() if path.is_dir()]:
            found |= self._read(folder)
        return found

    def _read(self, folder):
        reader = LogReader(folder)
        epoch, found, seq, last = reader.identity.epoch, {}, 1, 0
        while batches := reader.read(seq, 50, 1000):
            for batch in batches:
                assert batch.first > last
                last = batch.last
                for record in batch.records():
                    found[epoch, record.seq] = record.body
            seq = last + 1
        return found

    @invariant()
    def everything_acknowledged_is_there_once_and_nothing_else(self):
        found = self._read_all()
        extra = found.items() - self.stored.items() - self.maybe.items()
        assert not {body for _, body in extra} & self.rejected, "what was refused came back"
        assert not extra
        assert self.stored.items() <= found.items()
        bodies = [body for body in found.values() if body != BLANK]
        assert len(bodies) == len(set(bodies)), "something is there twice"

    @invariant()
    def every_number_is_accounted_for(self):
        reader = LogReader(self.machine.folder)
        found = self._read(self.machine.folder)
        status = self.log.status()
        top = max((seq for _, seq in found), default=0)
        holes = reader.holes(1, top)
        spans = sorted([(seq, seq) for _, seq in found] + [(hole.first, hole.last) for hole in holes])
        at = 1
        for first, last in spans:
            assert first == at
            at = last + 1
        assert at == top + 1
        if self.log.epoch not in self.spoiled:
            assert HoleReason.DAMAGED not in {hole.reason for hole in holes}
        assert status.next_seq > top
        for epoch, seq in self.given - self.stored.keys() - self.maybe.keys() - self.damaged - self.gone:
            # Given out in the last moment before a power cut.
            if epoch == self.log.epoch and seq <= top:
                assert any(hole.first <= seq <= hole.last for hole in holes)
        for epoch, seq in self.damaged:
            if epoch == self.log.epoch and seq <= top:
                (hole,) = (hole for hole in holes if hole.first <= seq <= hole.last)
                assert hole.reason is not HoleReason.SKIPPED
        for hole in holes:
            if hole.reason is HoleReason.SKIPPED:
                taken = self.stored.keys() | self.maybe.keys() | self.damaged | self.gone
                assert not any(epoch == self.log.epoch and hole.first <= seq <= hole.last for epoch, seq in taken)

    @invariant()
    def hybrid_times_grow_with_numbers(self):
        reader = LogReader(self.machine.folder)
        last, seq = 0, 1
        while batches := reader.read(seq, 1000):
            for batch in batches:
                for hlc in batch.hlc.tolist():
                    assert hlc > last
                    last = hlc
                seq = batch.last + 1


LogMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestLog = pytest.mark.slow(LogMachine.TestCase)
