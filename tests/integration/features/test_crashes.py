"""However it ends: no event is lost to a feature or in it twice, and no dead letter is written twice."""

import random
import shutil
import signal
from itertools import count

import pytest

from tests.integration.events.disks import Disk
from tests.integration.events.test_crashes import strace
from tests.integration.features.ledger import audit, kill, run, said


@pytest.mark.long
def test_killed_at_any_moment(tmp_path):
    chance = random.Random(7)
    for turn in range(8):
        process = run(tmp_path, "boot", f"turn{turn}")
        said(process, chance.randint(1, 600))
        kill(process)
        entities, refused, letters = audit(tmp_path, "boot")
    assert entities == 8
    # Of events that came before the version was warm there is none; of others each has its letter.
    assert 0 < letters <= refused


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.parametrize("calls", ["fdatasync,fsync", "pwrite64,pwritev"])
def test_killed_at_every_write_and_sync(faults, tmp_path, calls):
    kills = 0
    for when in count(1):
        root = tmp_path / str(when)
        root.mkdir()
        ended = []
        for turn in range(2):
            under = strace(f"{calls}:signal=SIGKILL:when={when}", *calls.split(","))
            process = run(root, "boot", f"turn{turn}", 60, under)
            said(process, 1000)
            ended.append(kill(process))
            audit(root, "boot")
        kills += ended.count(-signal.SIGKILL)
        shutil.rmtree(root)
        if ended[0] == 0:
            break
    assert kills > 20


def cut_the_power(folder, times):
    chance = random.Random(3)
    with Disk(folder, 64 << 20) as disk:
        root = disk.path / "node"
        root.mkdir()
        for turn in range(times):
            process = run(root, f"boot-{turn}", f"turn{turn}")
            said(process, chance.randint(1, 400))
            disk.cut_power()
            kill(process)
            disk.unmount()
            disk.mount()
            audit(root, f"boot-{turn}-next")
            if turn % 15 == 14:
                shutil.rmtree(root)
                root.mkdir()


@pytest.mark.lab
def test_power_cuts(faults, tmp_path):
    cut_the_power(tmp_path, 6)


@pytest.mark.lab
@pytest.mark.long
def test_sixty_power_cuts(faults, tmp_path):
    cut_the_power(tmp_path, 60)
