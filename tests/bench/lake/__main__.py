"""`make bench-lake`: events a second into a Delta table, by this process alone and by Dask workers.

The events are those of the batch bench (real samples as CloudEvents, 1,000 a batch), uploaded by several sites into a
folder. Measured is one pass over all of them into a table that has its columns: plan, read, write, commit. Each worker
has one thread, as this process has. More workers than cores can't be faster than the cores: beside events a second, the
CPU time of a pass and the seconds of it that no worker can share are told, from which follows what more machines give.
"""
# ruff: noqa: T201 - printing is what it is for

import json
import os
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from skerry_core.batch.codec import encode
from skerry_core.batch.contents import Batch, LogName
from skerry_core.batch.key import batch_key, upload_mark
from skerry_operator.ingest.config import IngestConfig
from skerry_operator.ingest.dask_workers import DaskWorkers
from skerry_operator.ingest.ingester import Ingester
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.metrics import Metrics
from skerry_operator.ingest.plan import Budget
from skerry_operator.ingest.workers import ThisProcess, Workers
from tests.bench.batch import dataset
from tests.cluster.lab.waiting import wait_for
from tests.integration.lake.dask_cluster import cluster

RESULT = Path("build/bench/lake.json")
SITES = 6
ROUNDS = 5
WORKERS = (1, 2, 3)
# A commit of each worker count has the same number of shares in all: the whole feed is one to six commits.
BUDGET = Budget(batches=100, bytes=1 << 30)


class Timed:
    """Workers, and the seconds in which they worked."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self.seconds = 0.0

    def shares(self) -> int:
        return self._workers.shares()

    def work(self, parts):
        start = time.perf_counter()
        try:
            return self._workers.work(parts)
        finally:
            self.seconds += time.perf_counter() - start


def main() -> None:
    """Measure, print, write the figures."""
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory(prefix="skerry-bench-lake-") as folder, ExitStack() as stack:
        root = Path(folder)
        events = _uploaded(root / "feed")
        modes: dict[str, Workers] = {"single": ThisProcess()}
        pids: dict[str, list[int]] = {"single": []}
        for count in WORKERS:
            place = root / f"dask-{count}"
            place.mkdir()
            address, processes, joined = stack.enter_context(cluster(place, count))
            wait_for(f"{count} workers", joined, seconds=60, log=place / "scheduler.log")
            modes[f"dask_{count}"] = DaskWorkers(address)
            pids[f"dask_{count}"] = [process.pid for process in processes]
        passes: dict[str, list[dict[str, float]]] = {name: [] for name in modes}
        for number in range(ROUNDS + 1):
            # There and back: what slows the machine down in a round hits each of them as often first as last.
            for name in sorted(modes, reverse=number % 2 == 1):
                measured = _pass(root, modes[name], events, pids[name])
                # The first round warms processes up: imports, and files into memory.
                if number:
                    passes[name].append(measured)
                    print(f"  {name:10} {measured['events_per_s']:12,.0f} events/s", flush=True)
    figures = {name: _summary(rounds) for name, rounds in passes.items()}
    two, three = (_scaling(passes["dask_1"], passes[name]) for name in ("dask_2", "dask_3"))
    result = {
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "events": events,
        "rounds": ROUNDS,
        **figures,
        "ingest_events_per_s": figures["single"]["events_per_s"],
        "ingest_scaling_2_workers": two,
        "ingest_scaling_3_workers": three,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    for name, figure in figures.items():
        print(
            f"{name:10} {figure['events_per_s']:12,.0f} events/s, CPU {figure['cpu_seconds']:.2f} s, "
            f"unshared {figure['unshared_seconds']:.2f} s"
        )
    print(f"3 workers on {os.cpu_count()} cores: {three} x one worker; written to {RESULT}")


def _uploaded(root: Path) -> int:
    """Put every site's batches into a folder; the number of events."""
    batches = dataset.batches(dataset.events(), "watches")
    for site in range(SITES):
        for batch in batches:
            log = LogName(f"clinic-{site}", "node-1", "watches", "4f1c9a0b7d2e6853")
            encoded = encode(Batch(log, batch.after, batch.last, batch.rows))
            path = root / "sites" / log.site / batch_key(log, batch.after, batch.last, encoded.format, upload_mark())
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded.data)
    return SITES * sum(len(batch.rows) for batch in batches)


def _cpu_seconds(pids: list[int]) -> float:
    """CPU time that this process and the workers have had."""
    ticks = 0
    for pid in pids:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _pass(root: Path, workers: Workers, events: int, pids: list[int]) -> dict[str, float]:
    place = root / "store"
    shutil.rmtree(place, ignore_errors=True)
    first = next((root / "feed").rglob("*.zst"))
    early = place / first.relative_to(root / "feed")
    early.parent.mkdir(parents=True)
    os.link(first, early)
    lake = Lake(place.as_uri())
    config = replace(IngestConfig(lake), budget=BUDGET)

    def ingester(workers: Workers) -> Ingester:
        return Ingester(lake, config, workers, Metrics(), lambda: datetime.now(UTC))

    assert ingester(ThisProcess()).run_once()
    early.unlink()
    shutil.copytree(root / "feed", place, dirs_exist_ok=True, copy_function=os.link)
    timed = Timed(workers)
    measured = ingester(timed)
    start, cpu = time.perf_counter(), _cpu_seconds(pids)
    assert measured.run_once()
    seconds, cpu = time.perf_counter() - start, _cpu_seconds(pids) - cpu
    assert lake.read("watches").num_rows == events
    new = events - dataset.BATCH
    unshared = seconds - timed.seconds
    return {"events_per_s": new / seconds, "cpu_seconds": cpu, "unshared_seconds": unshared}


def _scaling(one: list[dict[str, float]], more: list[dict[str, float]]) -> float:
    """How many times as fast, the median of what each round says: a busy machine is busy for both of its passes."""
    ratios = (mine["events_per_s"] / base["events_per_s"] for base, mine in zip(one, more, strict=True))
    return round(statistics.median(ratios), 2)


def _summary(rounds: list[dict[str, float]]) -> dict[str, float | list[float]]:
    rates = [each["events_per_s"] for each in rounds]
    return {
        "events_per_s": round(statistics.median(rates)),
        "events_per_s_rounds": [round(rate) for rate in rates],
        "cpu_seconds": round(statistics.median(each["cpu_seconds"] for each in rounds), 3),
        "unshared_seconds": round(statistics.median(each["unshared_seconds"] for each in rounds), 3),
    }


if __name__ == "__main__":
    main()
