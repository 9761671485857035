"""A lake in a folder, with a clock that tests move."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skerry_operator.ingest.config import IngestConfig
from skerry_operator.ingest.gaps import Patience
from skerry_operator.ingest.ingester import Ingester
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.metrics import Metrics
from skerry_operator.ingest.query import opened
from skerry_operator.ingest.upkeep import Retention
from skerry_operator.ingest.workers import ThisProcess


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **spans: float) -> None:
        self.now += timedelta(**spans)


class Hub:
    """The hub's side: a lake, and ingesters on it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.store = lake.store
        self.clock = Clock(datetime.now(UTC))
        self.config = IngestConfig(
            lake,
            patience=Patience(ask=timedelta(minutes=2), lose=timedelta(days=7)),
            keep_batches=timedelta(hours=24),
            retention=Retention(None, (("telemetry", timedelta(days=30)),)),
        )
        self.metrics = Metrics()
        self.ingester = self.another()

    def another(self, **parts) -> Ingester:
        given = {"workers": ThisProcess(), "metrics": self.metrics, "now": self.clock, "sleep": lambda _: None}
        return Ingester(self.lake, self.config, **{**given, **parts})

    def run(self) -> bool:
        self.clock.pass_(seconds=1)
        return self.ingester.run_once()

    def rows(self, table="predictions", **where):
        found = self.lake.read(table)
        rows = [] if found is None else found.to_pylist()
        return [row for row in rows if all(row[name] == value for name, value in where.items())]

    def seqs(self, table="predictions", **where):
        return sorted(row["seq"] for row in self.rows(table, **where))

    def keys(self, prefix=""):
        return [info.key for info in self.store.list(prefix)]

    def gaps(self):
        return [
            (row["first"], row["last"], row["state"]) for row in sorted(self.rows("_gaps"), key=lambda r: r["noted"])
        ]

    def metric(self, name, **labels):
        return self.metrics.registry.get_sample_value(f"skerry_ingest_{name}", labels)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    root = tmp_path / "store"
    root.mkdir()
    return Hub(Lake(root.as_uri()))


@pytest.fixture
def ask(hub):
    def ask(sql):
        with opened(hub.lake) as query:
            return query.run(sql).read_all().to_pylist()

    return ask
