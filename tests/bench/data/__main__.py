"""`make bench-data`: what the node's log can do, beside SQLite and `cat` on the same disk in the same run.

Everything is pinned to one core, but for clients of the process that serves and takes events in. `--folder` chooses the
disk.
"""
# ruff: noqa: T201 - printing is what it is for

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from skerry_edge.events.record import NewRecord
from tests.bench.batch import dataset
from tests.bench.data import appending, beside, reading
from tests.bench.data.spread import text
from tests.cluster.lab import RequirementMissingError, requirements
from tests.integration.events.power import cut_the_power

RESULT = Path("build/bench/data.json")
POWER_CUTS = 10
# What other benches found of the same way from producer to table.
OTHERS = {
    Path("build/bench/batch.json"): ("batch1000_bytes_vs_jsonl_zstd3", "batch1000_bytes_vs_entropy"),
    Path("build/bench/lake.json"): ("ingest_events_per_s", "ingest_scaling_3_workers"),
}


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the disk to be measured is mounted")
    chosen = parser.parse_args()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    chosen.folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="bench-data-", dir=chosen.folder))
    try:
        figures = _figures(work) | _beside(work, cores)
    finally:
        shutil.rmtree(work)
    for path, names in OTHERS.items():
        if path.exists():
            found = json.loads(path.read_bytes())
            figures |= {name: found[name] for name in names if name in found}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"written to {RESULT}")


def _figures(work: Path) -> dict[str, Any]:
    rows = dataset.events()
    records = [NewRecord(row.body, row.time, row.received) for row in rows]
    print(f"bodies of {sum(len(record.body) for record in records) / len(records):.0f} bytes; median (90 % of rounds)")
    appended = {}
    for batch, goal in ((100, 3.0), (1, 0.95)):
        found = appended[batch] = appending.measure(work / f"append-{batch}", records, batch)
        print(f"append, {batch} at once")
        for name, rate in found["events_per_s"].items():
            print(f"  {name:8} {text(rate, ',.0f')} events/s")
        print(f"  ratio    {text(found['ratio'])}, goal {goal}")
        shutil.rmtree(work / f"append-{batch}")
    replayed = reading.replay(work / "replay", records)
    print(f"replay     {text(replayed['events_per_s'], ',.0f')} events/s, goal 1,000,000")
    recovered = reading.recover(work / "recover")
    print(f"recovery of {recovered['bytes'] / 2**30:.2f} GiB")
    for name, seconds in recovered["seconds"].items():
        print(f"  {name:8} {text(seconds)} s")
    print(f"  ratio    {text(recovered['ratio'])}, goal at most 1.5")
    return _power_cuts(work) | {
        "append100_vs_sqlite_full": appended[100]["ratio"]["median"],
        "append1_vs_sqlite_full": appended[1]["ratio"]["median"],
        "replay_events_per_s": replayed["events_per_s"]["median"],
        "recover_vs_cat": recovered["ratio"]["median"],
        "append100": appended[100],
        "append1": appended[1],
        "replay": replayed,
        "recover": recovered,
    }


def _beside(work: Path, cores: Collection[int]) -> dict[str, Any]:
    found = beside.measure(work / "beside", cores)
    print(f"inference beside {text(found['events_per_s'], ',.0f')} events/s, 99th percentile")
    for name, ms in found["ms"].items():
        print(f"  {name:8} {text(ms)} ms")
    print(f"  ratio    {text(found['ratio'])}")
    return {"inference_p99_beside_ingest": found["ratio"]["median"], "inference_beside_ingest": found}


def _power_cuts(work: Path) -> dict[str, int]:
    """Cut the power of a disk under the log, where this machine lets us."""
    try:
        requirements.ensure(requirements.FAULT_COMMANDS, print)
    except RequirementMissingError as missing:
        print(f"no power is cut: {missing}")
        return {}
    ledger = cut_the_power(work, POWER_CUTS)
    print(f"power cut {POWER_CUTS} times: {ledger.lost} acknowledged records lost, {ledger.doubled} doubled")
    return {"power_cuts": POWER_CUTS, "acked_lost": ledger.lost, "doubled": ledger.doubled}


if __name__ == "__main__":
    main()
