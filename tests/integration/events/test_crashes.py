"""However it ends: nothing acknowledged is lost, nothing is there twice, and what was refused doesn't come back."""

import random
import shutil
import signal
from contextlib import ExitStack, suppress
from itertools import count

import pytest

from skerry_edge.events import admission
from skerry_edge.events.record import NewRecord
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.events.settings import LogFullError
from tests.integration.events.disks import Disk
from tests.integration.events.ledger import Ledger, Writer, read
from tests.integration.events.power import cut_the_power
from tests.integration.events.writer import NOW, STREAM, open_logs, settings

BOOT = "boot-1"


def test_killed_at_any_moment(ledger):
    chance = random.Random(5)
    for turn in range(12):
        writer = Writer(ledger.root, BOOT, f"turn{turn}")
        writer.said(chance.randint(1, 400))
        writer.kill()
        ledger.add(writer.lines)
        ledger.audit(BOOT, killed=True)
    assert len(ledger.acknowledged) > 500


def strace(inject, *calls):
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={','.join(calls)}", "-e", f"inject={inject}")


@pytest.mark.long
@pytest.mark.lab
def test_killed_at_every_sync(faults, tmp_path):
    """The sweep: in a fresh folder and in one that was killed there before, up to the sync after which all is done."""
    kills = 0
    for when in count(1):
        ledger = Ledger(tmp_path / f"log-{when}")
        ended = []
        for turn in range(2):
            under = strace(f"fsync,fdatasync:signal=SIGKILL:when={when}", "fsync", "fdatasync")
            writer = Writer(ledger.root, BOOT, f"turn{turn}", stop=120, threads=0, under=under)
            ended.append(writer.end())
            ledger.add(writer.lines)
            ledger.audit(BOOT, killed=True)
        assert (ledger.lost, ledger.doubled) == (0, 0), f"killed at sync {when}"
        assert set(ended) <= {0, -signal.SIGKILL}
        kills += ended.count(-signal.SIGKILL)
        shutil.rmtree(ledger.root)
        if ended[0] == 0:
            break
    assert kills > 25


@pytest.mark.lab
@pytest.mark.parametrize("when", ["1", "4+5", "2+2", "7..12"])
def test_a_disk_whose_sync_fails(faults, ledger, when):
    under = strace(f"fdatasync:error=EIO:when={when}", "fdatasync")
    writer = Writer(ledger.root, BOOT, "sick", stop=120, under=under)
    assert writer.end() == 0
    ledger.add(writer.lines)
    assert ledger.failed
    ledger.audit(BOOT, killed=True)


@pytest.mark.lab
def test_a_disk_that_fails_and_a_process_that_is_killed(faults, ledger):
    """What was refused may only come back if its process died before it could put another segment over it."""
    for turn in range(6):
        under = strace("fdatasync:error=EIO:when=3+4", "fdatasync")
        writer = Writer(ledger.root, BOOT, f"turn{turn}", under=under)
        writer.said(60 + 40 * turn)
        writer.kill()
        ledger.add(writer.lines)
        ledger.audit(BOOT, killed=True)
    assert ledger.failed


@pytest.mark.lab
def test_power_cuts(faults, tmp_path):
    ledger = cut_the_power(tmp_path, 10)
    assert (ledger.lost, ledger.doubled) == (0, 0)


@pytest.mark.lab
@pytest.mark.long
def test_a_hundred_power_cuts(faults, tmp_path):
    ledger = cut_the_power(tmp_path, 100)
    assert (ledger.lost, ledger.doubled) == (0, 0)


def fill(log, prefix):
    """Append until the log refuses; what was acknowledged."""
    stored = {}
    with suppress(LogFullError):
        for number in count():
            text = b'{"n":"%s-%d","pad":"%s"}' % (prefix.encode(), number, b"x" * 20_000)
            (seq,) = log.append([NewRecord(text, NOW, NOW)])
            stored[log.epoch, seq] = f"{prefix}-{number}"
    return stored


@pytest.mark.lab
@pytest.mark.parametrize("reserve", [True, False], ids=["tiers", "no-space-left"])
def test_a_disk_that_is_full(faults, tmp_path, monkeypatch, reserve):
    """With the reserve, low tiers are refused first; without it, the file system itself says that there is no space."""
    if not reserve:
        monkeypatch.setattr(admission, "SHARE_BYTES", 0)
    with Disk(tmp_path, 8 << 20) as disk, ExitStack() as ending:
        root = disk.path / "log"
        logs = open_logs(root, BOOT, 1 << 20)
        ending.callback(logs.close)
        low, high = logs.open(settings(4, "bulk")), logs.open(settings(0, STREAM))
        first = fill(low, "low")
        second = fill(high, "high")
        assert len(first) > 20
        if reserve:
            assert len(second) > 5
            with pytest.raises(LogFullError, match="tier 4"):
                low.append([NewRecord(b"{}", NOW, NOW)])
        assert high.append_soon(lambda _: NewRecord(b"x" * 60_000, NOW, NOW)) is None
        assert read(root, "bulk") == first
        assert read(root) == second
        for base in segment_firsts(root / "bulk")[:-1]:
            segment_path(root / "bulk", base).unlink()
        more = fill(high, "more")
        assert len(more) > 20
        assert read(root) == second | more
        logs.close()
        again = open_logs(root, BOOT)
        ending.callback(again.close)
        status = again.open(settings(0, STREAM)).status()
        assert (status.damaged, status.torn) == (0, 0)
        assert read(root) == second | more


def test_bytes_that_flip_and_a_tail_that_is_torn(ledger):
    """At rest, anywhere: the damage is found and told, costs no more than its blocks, and all else is served."""
    writer = Writer(ledger.root, BOOT, "whole")
    writer.said(1500)
    writer.kill()
    ledger.add(writer.lines)
    ledger.audit(BOOT, killed=True)
    before = read(ledger.root)
    folder = ledger.root / STREAM
    chance = random.Random(3)
    hurt = chance.sample(segment_firsts(folder)[:-1], 5)
    for base in hurt:
        path = segment_path(folder, base)
        data = bytearray(path.read_bytes())
        data[chance.randrange(72, len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
    newest = segment_path(folder, segment_firsts(folder)[-1])
    with newest.open("r+b") as file:
        file.seek(len(newest.read_bytes().rstrip(b"\0")) + 8)
        file.write(b"torn" * 9)
    logs = open_logs(ledger.root, BOOT)
    log = logs.open(settings())
    logs.verify()
    after, status = read(ledger.root), log.status()
    assert after.items() <= before.items()
    lost = {seq for _, seq in before.keys() - after.keys()}
    assert 5 <= len(lost) <= 200
    assert lost == {seq for first, last in status.damaged_ranges for seq in range(first, last + 1)}
    assert status.damaged > 0
    assert status.torn > 0
    (given,) = log.append([NewRecord(b'{"n":"next"}', NOW, NOW)])
    assert (log.epoch, given) not in before
    logs.close()
