"""What entities take: LMDB's file, and the memory that the process has beside that file's pages.

`python -m tests.bench.features.memory FOLDER ENTITIES` fills a store and prints both, in bytes.
"""

# ruff: noqa: T201 - the figures go to standard output

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from skerry_core.features.apply import RawEvents
from skerry_edge.events.follow import Place
from skerry_edge.features.clock import Clock
from skerry_edge.features.engine import compiled
from skerry_edge.features.note import VersionNote
from skerry_edge.features.ports import Change
from skerry_edge.features.store import LmdbStore
from skerry_edge.features.version import Version
from tests.bench.features import workload

ENTITIES = 1_000_000
_BATCH = 5_000
# Panes that hold something, of the ten of a window.
_PANES = 3


def measure(folder: Path, entities: int) -> dict[str, float]:
    """MiB for a million entities."""
    command = [sys.executable, "-m", "tests.bench.features.memory", str(folder), str(entities)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    scale = 1_000_000 / entities / 2**20
    return {name: value * scale for name, value in found.items()}


def main() -> None:
    folder, entities = Path(sys.argv[1]), int(sys.argv[2])
    digest, document = workload.document(workload.EIGHT, entities)
    store, clock, note = LmdbStore(folder), Clock(), VersionNote(document)
    version = Version(digest, compiled(document), clock=clock, boot=1, get=lambda key: store.get(digest, key))
    before = _anonymous()
    now = time.time_ns() // 1000
    rng = np.random.default_rng(1)
    for start in range(0, entities, _BATCH):
        people = range(start, min(start + _BATCH, entities))
        for pane in range(_PANES):
            bodies = [
                b'{"subject":"person-%07d","data":{"ax":%.6f,"ay":0.0,"az":0.0,"wx":0.0,"wy":0.0,"wz":0.0}}'
                % (at, value)
                for at, value in zip(people, rng.normal(size=len(people)).tolist(), strict=True)
            ]
            times = np.full(len(bodies), now - pane * 60_000_000, dtype=np.int64)
            events = RawEvents(bodies, times, np.full(len(bodies), now, dtype=np.int64))
            version.apply(events, Place("epoch", start + 1), clock.read(), None)
        store.commit([Change(digest, note, version.pending())])
        version.committed()
    assert version.entities == entities
    print(json.dumps({"lmdb": store.size(), "memory": _anonymous() - before}))
    store.close()


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise AssertionError("this kernel doesn't tell RssAnon")


if __name__ == "__main__":
    main()
