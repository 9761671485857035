"""Replay in column batches, and recovery of a large log against `cat` of the same files."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from tests.bench.data.spread import spread
from tests.bench.data.stores import SETTINGS, STREAM, LogStore, open_logs

REPLAYED = 1_000_000
REPLAY_ROUNDS = 5
RECOVERED_BYTES = 1 << 30
RECOVERY_ROUNDS = 5


def replay(folder: Path, records: Sequence[NewRecord]) -> dict[str, Any]:
    """Events a second from position 1 to the end: checksums checked, columns ready, nothing looked at in them."""
    store = LogStore(folder)
    at = stored = 0
    while stored < REPLAYED:
        store.append(records[at : at + 100])
        stored += 100
        at = (at + 100) % (len(records) - 100)
    store.close()
    rates = []
    for _ in range(REPLAY_ROUNDS):
        reader, seq, count, began = LogReader(folder / STREAM), 1, 0, time.perf_counter()
        while batches := reader.read(seq, 1 << 16, 8 << 20):
            count += sum(map(len, batches))
            seq = batches[-1].last + 1
        rates.append(count / (time.perf_counter() - began))
        assert count == stored
    return {"events_per_s": spread(np.array(rates)), "bytes": _size(folder / STREAM)}


def recover(folder: Path) -> dict[str, Any]:
    """Time to open a log and check all of it, over the time of `cat`, with nothing of it in the page cache.

    The bodies are random, so that the log takes as many bytes as were asked for.
    """
    rng = np.random.default_rng(7)
    store = LogStore(folder)
    chunks = [[NewRecord(rng.bytes(300), 1, 2) for _ in range(100)] for _ in range(50)]
    number = 0
    while number % 200 or _size(folder / STREAM) < RECOVERED_BYTES:
        store.append(chunks[number % len(chunks)])
        number += 1
    store.close()
    files = sorted((folder / STREAM).glob("*.seg"))
    ratios, ours, cats = [], [], []
    for _ in range(RECOVERY_ROUNDS):
        _forget(files)
        began = time.perf_counter()
        subprocess.run(["/bin/cat", *map(str, files)], stdout=subprocess.DEVNULL, check=True)
        cats.append(time.perf_counter() - began)
        _forget(files)
        began = time.perf_counter()
        logs = open_logs(folder)
        log = logs.open(SETTINGS)
        logs.verify()
        ours.append(time.perf_counter() - began)
        status = log.status()
        assert (status.next_seq, status.damaged, status.torn) == (number * 100 + 1, 0, 0)
        logs.close()
        ratios.append(ours[-1] / cats[-1])
    return {
        "bytes": _size(folder / STREAM),
        "seconds": {"log": spread(np.array(ours)), "cat": spread(np.array(cats))},
        "ratio": spread(np.array(ratios)),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.seg"))


def _forget(files: Sequence[Path]) -> None:
    """Drop these files, and nobody else's, from the page cache."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
