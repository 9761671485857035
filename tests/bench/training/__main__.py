"""`make bench-training`: rows a second of one core that `skerry features build` makes, out of a history in Parquet.

CPU time of the whole build is what counts, DuckDB's threads included. The samples are real ones, told of a thousand
people; rows are as many as events, or one for ten of them.
"""
# ruff: noqa: T201 - printing is what it is for

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skerry_core.features.definition import FeatureSetDocument
from skerry_operator.training.build import Order, build
from skerry_operator.training.history import Tables
from skerry_operator.training.work import work
from tests.bench.data.spread import spread, text
from tests.bench.features import workload

RESULT = Path("build/bench/training.json")
PEOPLE = 1_000
MINUTES = 120
ROUNDS = 5
START = 1_793_491_200_000_000
_MOMENT = pa.timestamp("us", "UTC")


def main() -> None:
    """Measure, print a table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=MINUTES, help="of history; everybody has an event a minute")
    minutes = parser.parse_args().minutes
    document = FeatureSetDocument.model_validate_json(workload.document(workload.TEN)[1])
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.parquet"
        events = _history(history, minutes)
        print(f"rows of ten features a second of one core, of {events:,} events: median (90 % of {ROUNDS} rounds)")
        for name, every in (("a row for ten events", 10), ("a row for each event", 1)):
            rows = Path(folder) / "rows.parquet"
            asked = _rows(rows, minutes, every)
            tables = Tables.of_files({workload.STREAM: history})
            order = Order(document, tables, Path(folder) / "training.parquet", rows)
            figures[name] = spread(np.array([asked / _seconds(order) for _ in range(ROUNDS)]))
            print(f"  {name}: {text(figures[name], ',.0f')}")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"events": events, "rows_per_s_core": figures}, indent=2) + "\n")
    print(f"written to {RESULT}")


def _seconds(order: Order) -> float:
    begun = time.process_time()
    build(order, lambda shares: map(work, shares), 1)
    return time.process_time() - begun


def _history(path: Path, minutes: int) -> int:
    samples = [json.loads(body)["data"] for body in workload.samples()]
    dice = np.random.default_rng(7)
    count = PEOPLE * minutes
    time_of = START + dice.integers(0, minutes * 60_000_000, count)
    received = time_of + dice.integers(0, 2_000_000, count)
    order = np.argsort(received)
    columns = {
        "time": pa.array(time_of[order], _MOMENT),
        "received": pa.array(received[order], _MOMENT),
        "subject": [workload.person(number) for number in dice.integers(0, PEOPLE, count).tolist()],
    }
    for name in workload.CHANNELS:
        columns[f"data_{name}"] = [float(samples[place % len(samples)][name]) for place in range(count)]
    pq.write_table(pa.table(columns), path)
    return count


def _rows(path: Path, minutes: int, every: int) -> int:
    dice = np.random.default_rng(8)
    count = PEOPLE * minutes // every
    moments = START + dice.integers(0, minutes * 60_000_000, count)
    people = [workload.person(number) for number in dice.integers(0, PEOPLE, count).tolist()]
    pq.write_table(pa.table({"person": people, "event_timestamp": pa.array(moments, _MOMENT)}), path)
    return count


if __name__ == "__main__":
    main()
