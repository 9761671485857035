"""The README's example of training rows runs as it stands."""

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
from typer.testing import CliRunner

from skerry_operator.cli.main import app
from tests.unit.features.sets import SECOND

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_builds_training_rows(world, tmp_path, monkeypatch):
    block = next(
        text for text in re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL) if "features build" in text
    )
    rows, command = re.fullmatch(r"cat > rows.csv <<'EOF'\n(.*?)EOF\n(.*)", block, re.DOTALL).groups()
    world.clocks.wall = int(datetime(2026, 11, 20, 8, 21, tzinfo=UTC).timestamp()) * SECOND
    for rms in (0.001, 0.003):
        world.passes(60)
        world.event({"rms": rms, "state": "run"}, "press-7")
    world.ship()
    (tmp_path / "rows.csv").write_text(rows)
    (tmp_path / "examples").symlink_to(README.parent / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKERRY_STORE", world.hub.lake.uri)
    words = [word.replace("$SKERRY_STORE", world.hub.lake.uri) for word in shlex.split(command.replace("\\\n", " "))]
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, done.output
    table = pq.read_table("training.parquet").to_pylist()
    assert [(row["rms_mean"], row["running_share"], row["failed_within_a_day"]) for row in table] == [
        (2.0, 1.0, 1),
        (0.0, 1.0, 0),
    ]
