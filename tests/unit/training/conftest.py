"""A node that takes in events, computes features and serves; and the hub that gets its logs."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skerry_core.canonical import canonical_json
from tests.unit.features.sets import SECOND, T0, document
from tests.unit.lake.conftest import hub  # noqa: F401 - a fixture
from tests.unit.training.world import SET, World


@pytest.fixture
def world(tmp_path, hub):  # noqa: F811
    world = World(tmp_path, hub)
    yield world
    world.close()


@pytest.fixture
def files(tmp_path, world):
    """A history of Parquet files: two presses, an event a minute each."""
    world.file.write_bytes(canonical_json(document(SET)))
    minutes = range(20)
    moments = pa.timestamp("us", "UTC")
    table = pa.table(
        {
            "time": pa.array([T0 + 60 * SECOND * minute for minute in minutes for _ in "ab"], moments),
            "received": pa.array([T0 + 60 * SECOND * minute + 5 for minute in minutes for _ in "ab"], moments),
            "subject": ["press-1", "press-2"] * len(minutes),
            "data_rms": [float(minute) for minute in minutes for _ in "ab"],
        }
    )
    folder = tmp_path / "history"
    folder.mkdir()
    pq.write_table(table.slice(0, 11), folder / "b.parquet")
    pq.write_table(table.slice(11), folder / "a.parquet")
    return folder
