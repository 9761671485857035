"""A process that appends until it is killed, and says what it was promised: one line an outcome, on standard output.

`python -m tests.integration.events.writer ROOT BOOT SEED STOP THREADS` appends below ROOT; each thread ends after STOP
records, and without threads the only one that there is does it. Lines are `A epoch seq n at` (acknowledged at that
monotonic time, ns), `S epoch seq n` (written, to be durable soon), `F n` (the disk failed), `L n` (no room); n is in
the record's body, and is never used twice by one process.
"""

import os
import random
import sys
import threading
import time
import zlib
from datetime import timedelta
from pathlib import Path

import structlog

from skerry_edge.events.identity import Owner
from skerry_edge.events.log import StreamLog
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import LogFailedError, LogFullError, StreamSettings

STREAM = "vitals"
SEGMENT_BYTES = 6_000
NOW = 1_790_000_000_000_000


def settings(tier: int = 1, name: str = STREAM) -> StreamSettings:
    return StreamSettings(name, tier, timedelta(days=30), 1 << 30)


def open_logs(root: Path, boot: str, segment_bytes: int = SEGMENT_BYTES) -> EventLogs:
    return EventLogs(root, Owner("site-a", "node-1", boot), segment_bytes=segment_bytes)


def body(number: str) -> bytes:
    return b'{"n":"%s","pad":"%s"}' % (number.encode(), b"x" * (zlib.crc32(number.encode()) % 200))


def say(*lines: str) -> None:
    """One write(2), so that lines of several threads don't mix and none is held back."""
    os.write(1, "".join(line + "\n" for line in lines).encode())


def write(log: StreamLog, chance: random.Random, run: str, stop: int) -> None:
    """Append about `stop` records, in batches and one by one, durably and soon."""
    count = 0
    while count < stop:
        size = chance.choice((1, 1, 1, 5, 20))
        numbers = [f"{run}-{count + index}" for index in range(size)]
        count += size
        records = [NewRecord(body(number), NOW, NOW) for number in numbers]
        if size == 1 and chance.random() < 0.5:
            seq = log.append_soon(lambda _, records=records: records[0])
            say(f"S {log.epoch} {seq} {numbers[0]}" if seq is not None else f"L {numbers[0]}")
            continue
        try:
            seqs = log.append(records)
        except LogFailedError:
            say(*(f"F {number}" for number in numbers))
        except LogFullError:
            say(*(f"L {number}" for number in numbers))
        else:
            at = time.monotonic_ns()
            say(*(f"A {log.epoch} {seq} {number} {at}" for seq, number in zip(seqs, numbers, strict=True)))


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    root, boot, seed, stop, threads_wanted = (
        Path(sys.argv[1]),
        sys.argv[2],
        sys.argv[3],
        int(sys.argv[4]),
        int(sys.argv[5]),
    )
    logs = open_logs(root, boot)
    log = logs.open(settings())
    say("ready")
    if not threads_wanted:
        write(log, random.Random(seed), seed, stop)
    threads = [
        threading.Thread(target=write, args=(log, random.Random(f"{seed}{number}"), f"{seed}.{number}", stop))
        for number in range(threads_wanted)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs.close()


if __name__ == "__main__":
    main()
