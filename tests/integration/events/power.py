"""Power cuts under a process that appends."""

import random
import shutil
import time
from pathlib import Path

from tests.integration.events.disks import Disk
from tests.integration.events.ledger import Ledger, Writer


def cut_the_power(folder: Path, times: int) -> Ledger:
    """Cut it `times` times at random moments, each time go on with the same log; the ledger counts what went wrong."""
    chance = random.Random(11)
    with Disk(folder, 64 << 20) as disk:
        ledger = Ledger(disk.path / "log")
        for turn in range(times):
            writer = Writer(ledger.root, f"boot-{turn}", f"turn{turn}")
            writer.said(chance.randint(1, 300))
            cut_at = time.monotonic_ns()
            disk.cut_power()
            writer.kill()
            ledger.add(writer.lines, cut_at)
            disk.unmount()
            disk.mount()
            ledger.audit(f"boot-{turn}-next", killed=False)
            if turn % 10 == 9:
                ledger.acknowledged.clear()
                shutil.rmtree(ledger.root)
    return ledger
