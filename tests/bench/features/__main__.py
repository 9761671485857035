"""`make bench-features`: what features cost a node, beside Feast's SQLite store and a scan by SQL in the same run.

Everything is pinned: the node's process to one core, whatever else runs beside it to another. `--folder` chooses the
disk, `--entities` how many entities are really made for the memory that a million takes.
"""
# ruff: noqa: T201 - printing is what it is for

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import structlog

from tests.bench.data.spread import text
from tests.bench.features import memory, pipeline, reads, workload

RESULT = Path("build/bench/features.json")


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the disk to be measured is mounted")
    parser.add_argument("--entities", type=int, default=memory.ENTITIES, help="of the memory that a million takes")
    chosen = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    chosen.folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="bench-features-", dir=chosen.folder))
    try:
        figures = _figures(work, chosen.entities)
    finally:
        shutil.rmtree(work)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {RESULT}")


def _figures(work: Path, entities: int) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))
    bodies = workload.samples()
    print("median (90 % of rounds)")

    # The client has a core of its own, if there is one.
    os.sched_setaffinity(0, {cores[0]})
    through = pipeline.measure(work / "pipeline", bodies, cores[-1])
    print("events through ingest over HTTP, log and ten features, in one process")
    for form, rate in through["events_per_s_core"].items():
        print(f"  {form:12} {text(rate, ',.0f')} events/s of one core's time, goal 50,000")
    print(f"  by the clock {text(through['events_per_s_wall'], ',.0f')} events/s on one core")

    os.sched_setaffinity(0, {cores[-1]})
    read = reads.measure(work / "reads", bodies)
    print("eight features of one entity")
    for name, micros in read["micros"].items():
        print(f"  {name:12} {text(micros, ',.1f')} µs")
    print(f"  kept / Feast      {text(read['kept_vs_feast_api'], '.4f')}, goal 0.05")
    print(f"  anew / Feast      {text(read['anew_vs_feast_api'], '.4f')}")
    print(f"  kept / its store  {text(read['kept_vs_feast_store'], '.4f')}")
    print(f"  anew / SQL        {text(read['anew_vs_sql'], '.4f')}, goal 0.1")

    taken = memory.measure(work / "memory", entities)
    total = taken["lmdb"] + taken["memory"]
    print(f"a million entities, from {entities:,}: {total:,.0f} MiB")
    for name, mebibytes in taken.items():
        print(f"  {name:12} {mebibytes:,.0f} MiB")
    return {
        "feature_read_vs_feast_sqlite": read["kept_vs_feast_api"]["median"],
        "window_read_vs_sql": read["anew_vs_sql"]["median"],
        "pipeline_events_per_s_core": min(rate["median"] for rate in through["events_per_s_core"].values()),
        "mib_per_million_entities": total,
        "reads": read,
        "pipeline": through,
        "memory_mib": taken,
    }


if __name__ == "__main__":
    main()
