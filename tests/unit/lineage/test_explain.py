"""What is told of a prediction, for all that can still be there or not; found anew as the engine counted."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from skerry_core.errors import UserMustActError
from skerry_core.lineage.explain import MAX_EVENTS, Found, explain, wanted
from skerry_core.lineage.explanation import Explanation, Missing
from skerry_core.lineage.record import Prediction, RecordId, TensorRecord
from tests.unit.features.sets import MINUTE, body, event
from tests.unit.lineage.cases import DIGEST, EPOCH, ID, NAMES, NOW, SET, ago, found, kept, recorded, released

EVENTS = [
    event({"rms": 9.0}, ago(1500)),
    event({"rms": 1.0}, ago(700)),
    event({"rms": 2.0}, ago(400)),
    event({"rms": 6.0}, ago(300)),
    event({"rms": 8.0}, ago(290), subject="press-2"),
    event({"rms": "no"}, ago(280)),
    event({"rms": 7.0}, ago(1000), ago(250)),  # too late
    event({}, ago(240)),
]


def told(events=EVENTS, rows=None, missing=(), **changes) -> Explanation:
    record, _ = recorded(events)
    of = found(record, **changes)
    return explain(of, {each.input: kept(events, rows, missing) for each in wanted(of)}, "node")


def test_down_to_the_events_of_each_window():
    explanation = told()
    (filled,) = explanation.inputs
    assert (explanation.id, explanation.entity, filled.stream) == (str(ID), {"press": "press-1"}, "vibration")
    assert (filled.set, filled.version, filled.digest, filled.schema_version) == ("plant/presses", "1.0.0", DIGEST, 1)
    assert {each.name: (each.status, each.counted, each.found, each.value) for each in filled.features} == {
        "count": ("PRESENT", 3, 3, 3.0),
        "hot": ("PRESENT", 1, 1, 1.0),
        "mean": ("OUTSIDE_MAX_AGE", 2, 2, 4.0),
        "past": ("PRESENT", 3, 3, 9.0),
    }
    assert [(each.id.rpartition("/")[2], each.features) for each in filled.events] == [
        ("8", ("count",)),
        ("4", ("count", "hot", "mean", "past")),
        ("3", ("count", "mean", "past")),
        ("2", ("past",)),
    ]
    assert filled.events[0].id == f"berlin/node-1/{EPOCH}/8"
    assert filled.notes == ()
    assert explanation.runtime == "skerry 1 onnxruntime 2"


def test_as_json_and_back():
    explanation = told()
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation
    assert json.loads(msgspec.json.encode(explanation))["inputs"][0]["features"][0]["ageSeconds"] == 240.0


@pytest.mark.parametrize("version", ["", "2.1.0"])
def test_the_preprocessing_is_told_even_of_a_release_that_is_gone(version):
    record, _ = recorded(EVENTS)
    record = structs.replace(record, preprocessing_version=version)
    for of in (found(record), Found(ID, NOW, record, None, {})):
        explanation = explain(of, {}, "node")
        assert json.loads(msgspec.json.encode(explanation))["preprocessingVersion"] == version


def test_a_record_has_no_member_for_preprocessing_that_nobody_named():
    record, _ = recorded(EVENTS)
    old = msgspec.json.encode(record)
    assert b"preprocessing" not in old
    assert msgspec.json.decode(old, type=Prediction) == record
    named = structs.replace(record, preprocessing_version="2.1.0")
    assert msgspec.json.decode(msgspec.json.encode(named), type=Prediction) == named


def test_what_is_no_longer_kept_is_said():
    explanation = told(rows=range(3, 8), missing=[Missing("they expired on this node", 3)])
    (filled,) = explanation.inputs
    assert {each.name: (each.counted, each.found, each.value) for each in filled.features} == {
        "count": (3, 2, None),
        "hot": (1, 1, 1.0),
        "mean": (2, 1, None),
        "past": (3, 1, None),
    }
    assert filled.notes == (
        "count: 1 of 3 events are no longer kept here",
        "mean: 1 of 2 events are no longer kept here",
        "past: 2 of 3 events are no longer kept here",
        "3 records that the windows may have held can't be looked at: they expired on this node",
    )


def test_more_events_than_counted_then_are_said_to_be():
    record, _ = recorded(EVENTS[:3])
    of = found(record)
    (filled,) = explain(of, {"f": kept(EVENTS)}, "node").inputs
    assert filled.notes[0].startswith("count: 3 events are kept, of which 1 counted then")


def test_an_entity_without_events():
    record, _ = recorded(EVENTS, "press-9")
    (filled,) = explain(found(record), {"f": kept(EVENTS)}, "node").inputs
    assert [(each.status, each.age_seconds, each.found) for each in filled.features] == [("NOT_FOUND", None, 0)] * 4
    assert filled.events == ()


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"manifest": released(["other"])}, "other features"),
        ({"documents": {}}, "document isn't kept"),
        ({"documents": {DIGEST: SET.model_copy(update={"schema_version": 9})}}, "schemaVersion 9"),
    ],
)
def test_a_set_that_is_not_known_any_more(change, note):
    (filled,) = told(**change).inputs
    assert note in filled.notes[0]
    assert [each.counted for each in filled.features] == [3, 1, 2, 3]
    assert filled.events == ()


def test_a_release_that_is_gone():
    record, _ = recorded(EVENTS)
    of = Found(ID, NOW, record, None, {})
    explanation = explain(of, {}, "node")
    assert "isn't kept here any more" in explanation.notes[0]
    assert [(each.name, each.status) for each in explanation.inputs[0].features] == [
        ("#1", "UNKNOWN"),
        ("#2", "UNKNOWN"),
        ("#3", "UNKNOWN"),
        ("#4", "UNKNOWN"),
    ]


def test_the_schema_version_is_told_of_a_set_that_is_gone():
    record, _ = recorded(EVENTS)
    (lineage,) = record.features
    for schema, told_of in ((3, 3), (0, None)):
        of = structs.replace(record, features=(structs.replace(lineage, schema=schema),))
        (filled,) = explain(found(of, documents={}), {}, "hub").inputs
        assert filled.schema_version == told_of


def test_inputs_and_outputs_are_told_where_they_are_recorded():
    record, _ = recorded(EVENTS)
    assert explain(found(record), {}, "hub").payload is None
    inputs, outputs = ({name: TensorRecord("FP32", (1, 1), (0.5,))} for name in ("x", "scores"))
    told = explain(found(structs.replace(record, inputs=inputs, outputs=outputs)), {}, "hub")
    assert (told.payload.inputs, told.payload.outputs, told.notes) == (inputs, outputs, ())
    too_large = explain(found(structs.replace(record, payload="TooLarge")), {}, "hub")
    assert too_large.payload is None
    assert "too large" in too_large.notes[0]


def test_a_record_of_before_events_were_counted():
    record, _ = recorded(EVENTS)
    (lineage,) = record.features
    old = msgspec.structs.replace(record, features=(msgspec.structs.replace(lineage, events=()),))
    (filled,) = explain(found(old), {"f": kept(EVENTS)}, "node").inputs
    assert [(each.counted, each.found, each.value) for each in filled.features] == [
        (None, 3, None),
        (None, 1, None),
        (None, 2, None),
        (None, 3, None),
    ]
    assert filled.notes == ()


def test_a_prediction_without_features():
    plain = Prediction("r", "team", "har", "1", "sha256:1", "champion", 0.1, 1)
    of = Found(ID, NOW, plain, None, {})
    assert wanted(of) == ()
    assert explain(of, {}, "hub").inputs == ()


def test_no_more_events_are_listed_than_may_be():
    events = [event({"rms": 1.0}, ago(400) + number) for number in range(MAX_EVENTS + 5)]
    (filled,) = told(events).inputs
    assert (len(filled.events), filled.events_found) == (MAX_EVENTS, MAX_EVENTS + 5)
    assert filled.events[0].id.endswith(f"/{MAX_EVENTS + 5}")


def test_what_is_wanted_reaches_as_far_back_as_a_window_can():
    record, _ = recorded(EVENTS)
    (each,) = wanted(found(record))
    assert (each.stream, each.epoch, each.seq, each.until) == ("vibration", EPOCH, len(EVENTS), NOW)
    assert each.span.start <= NOW - 10 * MINUTE
    assert each.paths[:2] == ("subject", "data.rms")


def test_an_escaped_entity_is_found():
    escaped = body({"rms": 3.0}).replace(b"press-1", b"pr\\u0065ss-1")
    (filled,) = told([(escaped, ago(60), ago(60))]).inputs
    assert filled.features[0].found == 1


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["press-1", "press-2", 'pr"ess', "prés"]),
            st.one_of(st.none(), st.floats(0, 10), st.just("no")),
            st.integers(0, 1500),
            st.integers(-60, 400),
        ),
        max_size=40,
    ),
    st.sampled_from(["press-1", 'pr"ess', "prés"]),
)
def test_as_many_are_found_as_the_engine_counted(given_events, entity):
    events = sorted(
        (
            event({} if rms is None else {"rms": rms}, ago(age + late), ago(age), subject=press)
            for press, rms, age, late in given_events
        ),
        key=lambda each: each[2],
    )
    record, values = recorded(events, entity)
    (filled,) = explain(found(record), {"f": kept(events)}, "node").inputs
    for feature in filled.features:
        assert feature.found == feature.counted == values[feature.name].events
        assert feature.value == values[feature.name].value
        assert feature.status == values[feature.name].status
    assert {each.name for each in filled.features} == set(NAMES)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a/b/c",
        "a/b/c/d",
        "a/b/c/0",
        "a/b/c/-1",
        "a/b/c/1/2",
        "//c/1",
        "a/b/c/²",
        f"a/b/c/{2**63}",
        "a/b/c/" + "1" * 600,
    ],
)
def test_what_is_no_id(text):
    with pytest.raises(UserMustActError, match=r"prediction id|number"):
        RecordId.parse(text)


def test_an_id_is_its_text():
    assert str(RecordId.parse(str(ID))) == str(ID)


def test_what_another_nodes_snapshot_brought_is_said():
    record, _ = recorded(EVENTS)
    (lineage,) = record.features
    taken = structs.replace(lineage, adopted="node-9/0123456789ab", adopted_until=ago(400))
    of = found(structs.replace(record, features=(taken,)))
    whole = {each.input: kept(EVENTS) for each in wanted(of)}
    for looked_up in (whole, {}):
        (filled,) = explain(of, looked_up, "node").inputs
        assert "node node-9 took in until" in filled.notes[0]
        assert "snapshot 0123456789ab was taken over" in filled.notes[0]
