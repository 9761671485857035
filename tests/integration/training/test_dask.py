"""The same build here and on Dask's workers, however many: the same file, bit for bit."""

import pytest

from tests.cluster.lab.waiting import wait_for
from tests.integration.lake.dask_cluster import cluster
from tests.unit.lake.conftest import hub  # noqa: F401 - a fixture
from tests.unit.training.conftest import world  # noqa: F401 - a fixture
from tests.unit.training.test_served import live


@pytest.mark.long
@pytest.mark.parametrize("consent", [("--no-consent-needed",), ("--consent", "training")])
def test_any_number_of_workers_builds_the_same_file(world, tmp_path, consent):  # noqa: F811
    for press in range(3):
        world.consent(f"press-{press}", "training")
    live(world, 1, events=80)
    world.ship()
    told, table = world.build("--predictions", "vision/press-health", consent=consent)
    assert 0 < table.num_rows <= len(world.served)
    file = tmp_path / "out.parquet"
    expected = file.read_bytes()
    for workers in (1, 3):
        file.unlink()
        folder = tmp_path / f"dask-{workers}"
        folder.mkdir()
        with cluster(folder, workers) as (address, _, joined):
            wait_for("the workers to join", joined, seconds=120)
            again, _ = world.build("--predictions", "vision/press-health", "--dask", address, consent=consent)
        assert file.read_bytes() == expected
        assert again["events"] == told["events"]
