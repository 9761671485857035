"""What the log says that features must be, held against what they are after a process ended in the middle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

from skerry_edge.events.reader import LogReader
from skerry_edge.features.store import LmdbStore
from tests.integration.features.follower import DIGEST, LETTERS, STREAM, features_of, open_logs, settings


def run(root, boot, seed, stop=1_000_000, under=()):
    argv = [*under, sys.executable, "-m", "tests.integration.features.follower", str(root), boot, seed, str(stop)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)


def said(process, count):
    """Wait until it has said so many lines, or ended; what it said."""
    return [line for _ in range(count) if (line := process.stdout.readline())]


def kill(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.stdout.read()
    process.stdout.close()
    return process.wait(timeout=60)


def records(root, stream):
    reader, seq = LogReader(root / "log" / stream), 1
    while batches := reader.read(seq, 5000):
        for batch in batches:
            yield from batch.records()
        seq = batches[-1].last + 1


def audit(root, boot, *, letters=True):
    """Go on as the next process does, and hold every entity and every dead letter against the log."""
    assert not (root / "features" / "lmdb.damaged").exists()
    logs = open_logs(root, boot)
    stream = logs.open(settings(STREAM))
    features = features_of(root, logs)
    features.start()
    last = stream.status().next_seq - 1
    counts, sums, refused = Counter(), Counter(), set()
    for each in records(root, STREAM):
        body = json.loads(each.body)
        if "subject" in body:
            counts[body["subject"]] += 1
            sums[body["subject"]] += body["data"]["rms"]
        else:
            refused.add(each.seq)
        last = each.seq
    give_up = time.monotonic() + 60
    while (version := features.find(DIGEST)) is None or (counts and version.applied.seq < last):
        assert time.monotonic() < give_up
        time.sleep(0.005)
    features.stop()
    logs.close()
    store = LmdbStore(root / "features")
    engine = version.engine
    found = {}
    for key, entity in store.entities(DIGEST):
        reading = engine.read(engine.decode(entity.state), entity.received)
        found[json.loads(key)[0]] = tuple(value.value for value in reading.values)
    store.close()
    assert found == {press: (counts[press], sums[press]) for press in counts}
    if letters:
        written = [json.loads(each.body) for each in records(root, LETTERS)]
        times = Counter(letter["id"] for letter in written)
        assert set(times.values()) <= {1}
        return len(counts), len(refused), len(times)
    return len(counts), len(refused), 0
