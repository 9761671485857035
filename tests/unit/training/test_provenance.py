"""From events to a signed manifest: what a model was trained on is in it, and what it wasn't is refused."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from skerry_core import digest as digests
from skerry_core.bundle.folder import read_bundle
from skerry_core.canonical import canonical_json
from skerry_operator.cli.main import app
from tests.unit.bundle.models import classifier
from tests.unit.features.sets import document, feature
from tests.unit.training.world import SET, csv_rows

FOUR = [feature(name, "Mean") for name in "abcd"]


@pytest.fixture
def package(world, files, tmp_path):
    """Rows of four features, and the command that packages a model with them."""
    model = tmp_path / "model.onnx"
    model.write_bytes(classifier())
    world.file.write_bytes(canonical_json(document(FOUR)))
    rows = csv_rows(tmp_path / "rows.csv", [("press-1", "2023-11-14T22:19:00Z", 1)])
    world.build("--rows", rows, "--select", "a", "--select", "b", "--select", "c", "--select", "d", history=str(files))

    def package(*options):
        argv = ["package", model, "-m", "har", "-v", "1.0.0", "-o", tmp_path / "bundle", *options]
        return CliRunner().invoke(app, [str(each) for each in argv])

    return package


def test_the_manifest_says_what_the_model_was_trained_on(world, package, tmp_path):
    out = tmp_path / "out.parquet"
    given = ("--training-round", "w47", "--trained-at", "2026-11-20T10:30:00+02:00", "--training-rows", out)
    answer = package(*given, "--features", f"features={world.file}")
    assert answer.exit_code == 0, answer.stderr
    assert "in round w47, 2026-11-20 08:30" in answer.stdout
    training = read_bundle(tmp_path / "bundle").manifest.training
    assert (training.round.id, training.round.at) == ("w47", datetime(2026, 11, 20, 8, 30, tzinfo=UTC))
    (data,) = training.data
    assert (data.digest, data.rows, data.features) == (digests.of_file(out), 1, ("a", "b", "c", "d"))
    assert (data.feature_set.digest, data.consent) == (digests.of_file(world.file), None)
    # The newest event of the history, to the second.
    assert data.until == datetime(2023, 11, 14, 22, 33, tzinfo=UTC)


def test_a_model_that_is_filled_from_another_version_is_refused(world, package, tmp_path):
    world.file.write_bytes(canonical_json(document(FOUR, allowedLateness="1m")))
    given = ("--training-round", "w47", "--training-rows", tmp_path / "out.parquet")
    answer = package(*given, "--features", f"features={world.file}")
    assert answer.exit_code == 1
    assert "the training rows sha256:" in answer.stderr
    assert not (tmp_path / "bundle").exists()


def test_a_round_alone_will_do_and_nothing_is_said_without_one(package, tmp_path):
    assert package("--training-round", "plant/w47").exit_code == 0
    assert read_bundle(tmp_path / "bundle").manifest.training.data == ()
    assert package().exit_code == 0
    assert "training" not in json.loads(read_bundle(tmp_path / "bundle").manifest_bytes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--training-rows", "OUT"), 2, "need --training-round"),
        (("--trained-at", "2026-11-20T08:30:00Z"), 2, "need --training-round"),
        (("--training-round", "w 47"), 2, "--training-round"),
        (("--training-round", "w47", "--trained-at", "2026-11-20T08:30:00"), 2, "is no time"),
        (("--training-round", "w47", "--trained-at", "now"), 2, "is no time"),
        (("--training-round", "w47", "--training-rows", "PLAIN"), 1, "is no file of rows"),
        (("--training-round", "w47", "--training-rows", "ODD"), 1, "is no file of rows"),
        (("--training-round", "w47", "--training-rows", "CSV"), 1, "is no file of rows"),
        (("--training-round", "w47", *["--training-rows", "OUT"] * 17), 2, "a release can have 16"),
    ],
)
def test_what_is_wrong_with_the_options_is_said(package, tmp_path, options, code, said):
    paths = {"OUT": tmp_path / "out.parquet", "CSV": tmp_path / "rows.csv"}
    paths |= {name: tmp_path / f"{name}.parquet" for name in ("PLAIN", "ODD")}
    table = pq.read_table(paths["OUT"])
    pq.write_table(pa.table({"a": [1]}), paths["PLAIN"])
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"skerry.features": b"[[["}), paths["ODD"])
    answer = package(*(paths.get(option, option) for option in options))
    assert answer.exit_code == code
    assert said in answer.stderr.replace("\n", " ")


def test_a_file_says_the_same_of_the_same_build(world, files, tmp_path):
    world.file.write_bytes(canonical_json(document(SET)))
    rows = csv_rows(tmp_path / "rows.csv", [("press-1", "2023-11-14T22:19:00Z", 1)])
    world.build("--rows", rows, history=str(files))
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    assert sorted(metadata) == [b"skerry.consent", b"skerry.feature_set", b"skerry.features", b"skerry.history"]
