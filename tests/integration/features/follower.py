"""A process that appends events and follows them into a feature store, until it is killed.

`python -m tests.integration.features.follower ROOT BOOT SEED STOP` says `A epoch seq` for each event that is durable,
on standard output, and ends after about STOP of them, all applied. Some events are refused.
"""

import json
import os
import random
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features import materializer
from skerry_edge.features.engine import compiled
from skerry_edge.features.features import Features
from skerry_edge.features.letters import LetterBox
from skerry_edge.features.materializer import Sources
from skerry_edge.features.needs import Needs
from tests.unit.features.sets import document, feature

STREAM, LETTERS = "vibration", "dead-letter"
NOW = 1_790_000_000_000_000
DOCUMENT = canonical_json(document([feature("count", "Count", None), feature("sum", "Sum")]))
DIGEST = digests.of_bytes(DOCUMENT)


def settings(name):
    return StreamSettings(name, 1, timedelta(days=30), 1 << 30)


def open_logs(root, boot):
    return EventLogs(root / "log", Owner("site-a", "node-1", boot), segment_bytes=6000)


def features_of(root, logs):
    log = logs.open(settings(LETTERS))
    sources = Sources(root / "log", 1, lambda: Needs(frozenset([DIGEST]), certain=True), lambda _: DOCUMENT, compiled)
    return Features(root / "features", sources, lambda: LetterBox(root / "log" / LETTERS, log, lambda: NOW))


def record(press, rms):
    data = {"subject": press, "data": {"rms": rms}} if rms >= 0 else {"data": {"rms": "none"}}
    return NewRecord(json.dumps(data).encode(), NOW, NOW)


def main():
    root, boot, seed, stop = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    chance = random.Random(seed)
    materializer.COMMIT_SECONDS = 0.0
    logs = open_logs(root, boot)
    stream = logs.open(settings(STREAM))
    features = features_of(root, logs)
    features.start()
    os.write(1, b"ready\n")
    count, seqs = 0, range(0)
    while count < stop:
        size = chance.choice((1, 1, 5, 20))
        count += size
        values = [chance.choice((-1, 0, 1, 2, 3)) for _ in range(size)]
        seqs = stream.append([record(f"press-{chance.randrange(8)}", value) for value in values])
        os.write(1, b"".join(b"A %s %d\n" % (stream.epoch.encode(), seq) for seq in seqs))
        time.sleep(0.002)
    waiting = threading.Event()
    while (version := features.find(DIGEST)) is None or version.applied.seq < seqs[-1]:
        waiting.wait(0.01)
    features.stop()
    logs.close()


if __name__ == "__main__":
    main()
