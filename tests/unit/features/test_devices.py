"""Features of what was known of devices: by value, by key, by unit; and events of devices that nobody knows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.errors import UserMustActError
from skerry_core.features.normalize import Normalizer
from skerry_core.features.plan import compile_set
from skerry_edge.ingest.devices import read_devices, with_device
from tests.unit.features.sets import T0, document, encoded, event, feature, plan, run, values

UNITS = {
    "paths": ["data.unit", "device.units.rms"],
    "conversions": [
        {"unit": "mm/s", "factor": 1.0, "offset": 0.0},
        {"unit": "m/s", "factor": 1000.0, "offset": 0.0},
        {"unit": "odd", "factor": 2.0, "offset": 1.0},
    ],
    "required": True,
}
RMS = {"name": "rms", "path": "data.rms", "type": "Float64", "maximum": 5000.0}
TOLD = {**RMS, "toldUnit": UNITS}
MODEL = {"name": "model", "path": "device.model", "type": "String"}
GAIN = {"name": "gain", "path": "device.calibration.gain", "type": "Float64"}
KNOWN = {"revision": "0123456789ab", "model": "X1", "units": {"rms": "m/s"}, "calibration": {"gain": 2}}


def refusal(fields, data, **more):
    """Reason and field, or the sum."""
    made = plan([feature("sum", "Sum", "rms")], schemaVersion=2, fields=fields)
    states = {}
    applied = run(made, [event(data, **more)], states)
    if applied.refusals:
        [found] = applied.refusals
        assert not states
        return found.reason, found.field
    return values(made, [event(data, **more)])["sum"].value


@pytest.mark.parametrize(
    ("fields", "data", "more", "expected"),
    [
        ([RMS, MODEL], {"rms": 3}, {"device": KNOWN}, 3.0),
        ([RMS, MODEL], {"rms": 3}, {}, ("UnknownDevice", "model")),
        ([RMS, MODEL], {"rms": 3}, {"device": {"revision": "0123456789ab"}}, ("Missing", "model")),
        ([RMS, MODEL], {"rms": 3}, {"device": {**KNOWN, "model": 7}}, ("WrongType", "model")),
        ([RMS, {**MODEL, "required": False}], {"rms": 3}, {}, 3.0),
        # The producer's own mistakes stay its own.
        ([RMS, MODEL], {}, {}, ("Missing", "rms")),
        ([MODEL, RMS], {}, {"device": KNOWN}, ("Missing", "rms")),
        # What a producer says of a device is none of the registry's.
        ([RMS, MODEL], {"rms": 3}, {"device": "X1"}, ("WrongType", "device")),
        ([RMS, GAIN], {"rms": 3}, {"device": {**KNOWN, "calibration": 2}}, ("WrongType", "device.calibration")),
        # Units: the event's own, else the device's.
        ([TOLD], {"rms": 3, "unit": "mm/s"}, {"device": KNOWN}, 3.0),
        ([TOLD], {"rms": 3}, {"device": KNOWN}, 3000.0),
        ([TOLD], {"rms": 3, "unit": "odd"}, {}, 7.0),
        ([TOLD], {"rms": 3}, {}, ("UnknownDevice", "rms")),
        ([TOLD], {"rms": 3}, {"device": {**KNOWN, "units": {}}}, ("UnitMissing", "rms")),
        ([TOLD], {"rms": 3, "unit": "M/S"}, {"device": KNOWN}, ("UnitUnknown", "rms")),
        ([TOLD], {"rms": 3, "unit": ""}, {"device": KNOWN}, ("UnitUnknown", "rms")),
        ([TOLD], {"rms": 3, "unit": 7}, {"device": KNOWN}, ("WrongType", "data.unit")),
        ([TOLD], {"rms": 6}, {"device": KNOWN}, ("OutOfRange", "rms")),
        ([TOLD], {"rms": "3"}, {"device": KNOWN}, ("WrongType", "rms")),
        ([TOLD], {}, {"device": KNOWN}, ("Missing", "rms")),
        ([{**TOLD, "factor": 10.0, "toldUnit": {**UNITS, "required": False}}], {"rms": 3}, {}, 30.0),
        ([{**TOLD, "required": False, "toldUnit": {**UNITS, "paths": ["data.unit"]}}], {}, {}, None),
    ],
)
def test_what_is_known_of_the_device(fields, data, more, expected):
    assert refusal(fields, data, **more) == expected


@pytest.mark.parametrize(
    ("value", "filtered", "expected"),
    [("rms * gain", None, 12.0), ("rms", "model == 'X1'", 6.0), ("rms", "model.startsWith('Y')", None)],
)
def test_expressions_see_it_as_they_see_what_was_sent(value, filtered, expected):
    made = plan([feature("sum", "Sum", value, filter=filtered)], fields=[RMS, MODEL, GAIN])
    assert values(made, [event({"rms": 2}, device=KNOWN), event({"rms": 4}, device=KNOWN)])["sum"].value == expected


def test_features_can_be_of_where_devices_are():
    made = plan([feature("n", "Count", None)], fields=[RMS], entities=[{"name": "place", "path": "device.place"}])
    states = {}
    applied = run(
        made,
        [event({"rms": 1}, device={**KNOWN, "place": "hall 2"}), event({"rms": 1}), event({"rms": 1}, device=KNOWN)],
        states,
    )
    assert list(states) == [b'["hall 2"]']
    assert [(each.row, each.reason) for each in applied.refusals] == [(1, "UnknownDevice"), (2, "EntityMissing")]


def test_an_engine_of_an_older_grammar_would_pass_over_units():
    with pytest.raises(UserMustActError, match="toldUnit is none of schemaVersion 1"):
        compile_set(document([feature("sum", "Sum", "rms")], fields=[TOLD]))


ENTRIES = st.fixed_dictionaries(
    {}, optional={"model": st.sampled_from(["X1", "Y2"]), "units": st.just({"rms": "m/s"}), "gain": st.integers(1, 3)}
)
EVENTS = st.lists(
    st.tuples(
        st.fixed_dictionaries({}, optional={"rms": st.integers(0, 9), "unit": st.sampled_from(["mm/s", "odd", "?"])}),
        st.none() | ENTRIES,
    ),
    max_size=12,
)


@given(EVENTS, st.lists(st.integers(1, 5), max_size=12), st.randoms())
def test_a_replay_of_what_was_stored_gives_the_same_bits_in_any_batches_and_order(given_events, sizes, random):
    """The registry is asked by nobody then: it may have changed, or be gone."""
    made = plan(
        [feature("sum", "Sum", "rms", filter="model == 'X1'"), feature("n", "Count", None)],
        schemaVersion=2,
        fields=[TOLD, {**MODEL, "required": False}],
    )
    stored = []
    for data, known in given_events:
        body = event(data)[0]
        if known is not None:
            entry = read_devices(json.dumps({"devices": {"a": known}}).encode()).entries["a"]
            body = with_device(body, entry)
        stored.append((body, T0, T0))
    once, again = {}, {}
    run(made, stored, once)
    shuffled = random.sample(stored, len(stored))
    while shuffled:
        size = sizes.pop() if sizes else 3
        run(made, shuffled[:size], again)
        shuffled = shuffled[size:]
    assert encoded(made, again) == encoded(made, once)


def test_one_value_may_be_a_field_and_its_own_unit():
    fields = document(
        [feature("sum", "Sum", "rms")], schemaVersion=2, fields=[{**TOLD, "toldUnit": {**UNITS, "paths": ["data.rms"]}}]
    ).fields
    made = Normalizer.compile((), fields)
    [found] = made.normalize([event({"rms": 3})[0]]).refusals
    assert (found.reason, found.field) == ("UnitUnknown", "rms")
