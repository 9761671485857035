"""What a build takes, what it says is wrong, and what its file tells."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skerry_core.canonical import canonical_json
from skerry_operator.training.rows import EntityRows
from skerry_operator.training.work import shares
from tests.unit.features.sets import SECOND, T0, document
from tests.unit.training.world import SET, World, csv_rows, vectors

NAMES = ("sum", "count")


def test_parquet_files_and_csv_rows_give_the_selected_features(world, files, tmp_path):
    rows = csv_rows(
        tmp_path / "rows.csv",
        [
            ("press-2", "2023-11-14T22:19:00Z", 7),
            ("press-1", "2023-11-14T22:14:00Z", 8),
            ("press-9", "2023-11-14T22:19:00Z", 9),
        ],
    )
    options = ("--rows", rows, "--select", "count", "--select", "sum", "--full-feature-names")
    told, table = world.build(*options, history=str(files))
    assert table.schema.names[:5] == ["press", "event_timestamp", "label", "presses__count", "presses__sum"]
    assert table.drop_columns(["event_timestamp", "features_rejected"]).to_pylist() == [
        {"press": "press-2", "label": 7, "presses__count": 5.0, "presses__sum": 10.0, "features_defaulted": []},
        {"press": "press-1", "label": 8, "presses__count": 0.0, "presses__sum": 0.0,
         "features_defaulted": ["presses__count", "presses__sum"]},
        {"press": "press-9", "label": 9, "presses__count": 0.0, "presses__sum": 0.0,
         "features_defaulted": ["presses__count", "presses__sum"]},
    ]  # fmt: skip
    metadata = {name.decode(): json.loads(value) for name, value in table.schema.metadata.items()}
    assert metadata["skerry.feature_set"] == told["featureSet"]
    assert metadata["skerry.history"]["logs"][0]["received"] == T0 + 19 * 60 * SECOND + 5
    assert (metadata["skerry.features"], metadata["skerry.consent"]) == (["count", "sum"], None)


def test_a_rejected_feature_without_a_default_is_nan_and_named(world, files, tmp_path):
    rows = csv_rows(tmp_path / "rows.csv", [("press-9", "2023-11-14T22:19:00Z", 1)])
    _, table = world.build("--rows", rows, history=str(files))
    (row,) = table.to_pylist()
    assert row["rejected"] != row["rejected"]
    assert row["features_rejected"] == ["rejected"]


def test_a_build_is_the_same_bytes_again_and_a_failed_one_leaves_the_old_file(world, files, tmp_path):
    rows = csv_rows(tmp_path / "rows.csv", [("press-1", "2023-11-14T22:19:00Z", 1)])
    world.build("--rows", rows, history=str(files))
    first = (tmp_path / "out.parquet").read_bytes()
    world.build("--rows", rows, history=str(files))
    assert (tmp_path / "out.parquet").read_bytes() == first
    bad = csv_rows(tmp_path / "bad.csv", [("", "2023-11-14T22:19:00Z", 1)])
    assert world.run("--rows", bad, "--no-consent-needed", history=str(files)).exit_code == 1
    assert (tmp_path / "out.parquet").read_bytes() == first
    assert not list(tmp_path.glob(".out*"))


def without(path, name):
    for file in path.glob("*.parquet"):
        pq.write_table(pq.read_table(file).drop_columns([name]), file)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "row", "drop", "more", "said"),
    [
        (("machine", "event_timestamp"), ("a", "2023-11-14T22:19:00Z"), "", {}, "has no column press"),
        (("press", "at"), ("a", "2023-11-14T22:19:00Z"), "", {}, "has no column event_timestamp"),
        (("press", "event_timestamp"), ("a", "yesterday"), "", {}, "isn't a time"),
        (("press", "event_timestamp"), ("", "2023-11-14T22:19:00Z"), "", {}, "row 1 names no entity"),
        (("press", "event_timestamp", "sum"), ("a", "2023-11-14T22:19:00Z", 1), "", {}, "--full-feature-names"),
        (("press", "event_timestamp"), ("a", "2023-11-14T22:19:00Z"), "received", {}, "no column received"),
        (("press", "event_timestamp"), ("a", "2023-11-14T22:19:00Z"), "subject", {}, "no column for subject"),
        (
            ("press", "event_timestamp"),
            ("a", "2023-11-14T22:19:00Z"),
            "",
            {"fields": [{"name": "rms", "path": "data.heat", "type": "Float64"}]},
            "no column for data.heat (data_heat)",
        ),
    ],
)
def test_what_is_wrong_with_rows_or_history_is_said(world, files, tmp_path, header, row, drop, more, said):
    if drop:
        without(files, drop)
    world.file.write_bytes(canonical_json(document(SET, **more)))
    rows = csv_rows(tmp_path / "rows.csv", [row], header)
    done = world.run("--rows", rows, "--no-consent-needed", history=str(files))
    assert done.exit_code == 1
    assert said in done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--no-consent-needed",), "--rows or --predictions"),
        (("--rows", "ROWS"), "--consent"),
        (("--rows", "ROWS", "--consent", "x", "--no-consent-needed"), "--consent"),
        (("--rows", "ROWS", "--no-consent-needed", "--select", "nope"), "has no feature nope"),
        (("--predictions", "a/b", "--no-consent-needed"), "no predictions"),
    ],
)
def test_what_is_wrong_with_the_options_is_said(world, files, tmp_path, options, said):
    rows = csv_rows(tmp_path / "rows.csv", [("a", "2023-11-14T22:19:00Z", 1)])
    done = world.run(*(rows if option == "ROWS" else option for option in options), history=str(files))
    assert done.exit_code != 0
    assert said in done.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('"schemaVersion":1', '"schemaVersion":9'), "schemaVersion 9"),
        (lambda _: UNKNOWN_UNIT, "furlong"),
    ],
)
def test_an_engine_that_does_not_know_the_set_says_so(world, files, tmp_path, change, said):
    world.file.write_text(change(world.file.read_text()))
    rows = csv_rows(tmp_path / "rows.csv", [("a", "2023-11-14T22:19:00Z", 1)])
    done = world.run("--rows", rows, "--no-consent-needed", history=str(files))
    assert done.exit_code == 1
    assert said in done.output


UNKNOWN_UNIT = """
apiVersion: skerry.dev/v1alpha1
kind: FeatureSet
metadata: {name: presses, namespace: plant}
spec:
  version: 1.0.0
  entities: [{name: press, path: subject}]
  source:
    stream: vibration
    schema: [{name: rms, type: Float64, unit: mm/s, sourceUnit: furlong}]
  features: [{name: sum, aggregation: Sum, value: rms, window: {size: 10m}, default: 0}]
"""


@pytest.mark.slow
def test_each_node_served_what_its_own_log_held(world, tmp_path, hub):
    other = World(tmp_path, hub, node="node-2")
    for each, rms in ((world, 1.0), (other, 5.0)):
        each.event({"rms": rms})
        each.passes(1)
        each.serve("press-1")
        each.ship()
    now = world.clocks.wall
    rows = [(now, ("press-1",))] * 2
    done = world.run("--rows", world.rows_file(rows), "--no-consent-needed")
    assert "columns site and node" in done.output
    nodes = pa.array(["node-2", "node-1"])
    _, table = world.build("--rows", world.rows_file(rows, site=pa.array(["berlin"] * 2), node=nodes))
    assert vectors(table, world.names) == [other.served[0][2], world.served[0][2]]
    other.close()


def test_rows_are_divided_without_loss(world):
    rows = EntityRows([b"%d" % n for n in range(100)], None, [("s", f"n{n % 3}") for n in range(100)])
    for count in (1, 2, 7):
        parts = shares(rows, count)
        assert sorted(row for part in parts for row in part.tolist()) == list(range(100))
        assert len(parts) == count
