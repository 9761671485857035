"""What a record says for rollups is decided by the record alone."""

import json

import msgspec
import pytest

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core.lineage.record import PairRecord, Prediction
from skerry_core.rollups.series import MAX_FIELDS, Series, observed
from skerry_core.rollups.state import ValueKind

NUMBER, TEXT, VECTOR = ValueKind.NUMBER, ValueKind.TEXT, ValueKind.VECTOR


def event(data):
    return json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": data}).encode()


def nested(depth):
    return 1 if depth == 0 else {"a": nested(depth - 1)}


@pytest.mark.parametrize(
    ("data", "values", "left_out"),
    [
        ({"v": 1, "w": {"x": 2.5, "on": True}}, {("v", NUMBER): [1], ("w.x", NUMBER): [2.5], ("w.on", NUMBER): [1]}, 0),
        ({"state": "idle", "none": None}, {("state", TEXT): ["idle"]}, 0),
        ({"axes": [1, 2.5, 3]}, {("axes", VECTOR): [[1, 2.5, 3]]}, 0),
        ({"rows": [{"x": 1}], "mixed": [1, "a"], "flags": [True], "empty": []}, {}, 4),
        ({"a.b": 1, "a": {"b": 2}}, {("a.b", NUMBER): [1, 2]}, 0),
        (7, {("", NUMBER): [7]}, 0),
        ({"big": 10**400, "wide": [0] * 1025, "k" * 300: 1}, {}, 3),
        (None, {}, 0),
        (nested(16), {(".".join("a" * 16), NUMBER): [1]}, 0),
        (nested(17), {}, 1),
    ],
)
def test_values_of_an_event(data, values, left_out):
    found = observed("readings", event(data))
    assert {(series.path, series.kind): held for series, held in found.values.items()} == values
    assert found.left_out == left_out
    assert all(series.length == (len(held[0]) if series.kind is VECTOR else 0) for series, held in found.values.items())


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"nonsense", b"[" * 100_000, b'{"data_base64": "AAAA"}'])
def test_a_body_that_says_nothing(body):
    assert observed("readings", body).values == {}
    assert all(series.path == "" for series in observed(PREDICTIONS, body).values)


def test_of_too_many_fields_the_first_in_order_count():
    data = {f"f{n:03d}": n for n in reversed(range(MAX_FIELDS + 10))}
    found = observed("readings", event(data))
    assert sorted(series.path for series in found.values) == [f"f{n:03d}" for n in range(MAX_FIELDS)]
    assert found.left_out == 10


PREDICTION = {
    "request": "r",
    "namespace": "team",
    "model": "har",
    "version": "1.0.0",
    "digest": "sha256:a",
    "variant": "champion",
    "latency": 0.25,
    "rows": 2,
    "entity": {"wearer": "ann"},
    "features": [{"input": "x", "ages": [1, 2]}],
    "runtime": "skerry",
    "decided": [3, 4],
}


@pytest.mark.parametrize(
    ("more", "outcome", "also"),
    [
        ({}, "Answered", {}),
        ({"pair": {"champion": "a", "champion_latency": 1.0}}, "Answered", {("pair.champion_latency", NUMBER): [1]}),
        (
            {"pair": {"rows": 2, "disagreements": 1}},
            "Disagrees",
            {("pair.rows", NUMBER): [2], ("pair.disagreements", NUMBER): [1]},
        ),
        ({"pair": {"error": "NaN"}}, "Guardrail", {}),
        ({"pair": "gone"}, "Answered", {}),
    ],
)
def test_a_prediction_is_told_apart_by_release_variant_and_outcome(more, outcome, also):
    found = observed(PREDICTIONS, json.dumps(PREDICTION | more).encode())
    assert {series.group for series in found.values} == {("team", "har", "1.0.0", "sha256:a", "champion", outcome)}
    assert {(series.path, series.kind): held for series, held in found.values.items()} == {
        ("latency", NUMBER): [0.25],
        ("rows", NUMBER): [2],
        ("decided", NUMBER): [3, 4],
        ("entity.wearer", TEXT): ["ann"],
        **also,
    }
    assert found.left_out == 0


def test_predictions_as_nodes_write_them():
    pair = PairRecord("a", "b", champion_latency=1.0, challenger_latency=2.0, rows=1, disagreements=1, decided=(2.0,))
    made = {**PREDICTION, "features": (), "decided": (3.0,), "pair": pair}
    found = observed(PREDICTIONS, msgspec.json.encode(Prediction(**made)))
    assert {series.path for series in found.values} == {
        *("latency", "rows", "decided", "entity.wearer"),
        *("pair.rows", "pair.disagreements", "pair.champion_latency", "pair.challenger_latency"),
    }
    assert {series.group[-2:] for series in found.values} == {("champion", "Disagrees")}


def test_members_that_rules_took_out_are_missing():
    found = observed(PREDICTIONS, b'{"latency": 1, "model": "har"}')
    assert set(found.values) == {Series(("", "har", "", "", "", "Answered"), "latency", NUMBER)}
