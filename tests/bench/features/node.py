"""A node's process without models: the events port, the log, and ten features that follow it, as in production.

`python -m tests.bench.features.node ROOT CPU` tells its port, and for each number of events that it reads, once they
are all applied, the CPU seconds that all its threads have taken by then.
"""

# ruff: noqa: T201 - answers go to standard output

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import structlog
import uvloop
from prometheus_client import CollectorRegistry

from skerry_edge.events.keeper import LogKeeper
from skerry_edge.inference.process import SWITCH_SECONDS
from skerry_edge.ingest.ingest import Ingest
from tests.bench.features.site import Site
from tests.bench.features.workload import STREAM, TEN, document
from tests.unit.ingest.worlds import policy, stream_policy


async def serve(site: Site, root: Path) -> None:
    streams = policy(stream_policy(STREAM, max_bytes=1 << 40))
    ingest = Ingest(
        "site-a",
        "node-1",
        logs=site.logs,
        state=root,
        broker=root / "no-broker",
        producers=root / "no-producers",
        devices=root / "no-devices",
        inbox=root / "withdrawals.json",
        policy=lambda: streams,
        registry=CollectorRegistry(),
    )
    ingest.start("127.0.0.1", 0)
    while ingest.port is None:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    print(ingest.port, flush=True)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_answer, args=(site, lambda: loop.call_soon_threadsafe(done.set)), daemon=True).start()
    await done.wait()
    await ingest.stop(5)


def _answer(site: Site, done) -> None:
    for line in sys.stdin:
        site.version(int(line))
        print(time.process_time(), flush=True)
    done()


def main() -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    root = Path(sys.argv[1])
    os.sched_setaffinity(0, {int(sys.argv[2])})
    sys.setswitchinterval(SWITCH_SECONDS)
    site = Site(root, *document(TEN))
    keeper = LogKeeper(site.logs)
    keeper.start()
    site.features.start()
    uvloop.run(serve(site, root))
    keeper.stop()
    site.close()


if __name__ == "__main__":
    main()
