"""Features of what was known of devices: by value, by key, by unit; and events of devices that nobody knows."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.errors import UserMustActError
from skerry_core.features.normalize import Normalizer
from skerry_core.features.plan import compile_set
from skerry_core.features.read import FeatureStatus, read
from skerry_core.features.state import EntityState
from skerry_core.micros import rfc3339
from skerry_edge.features.engine import CoreEngine
from skerry_edge.ingest.devices import read_devices, with_device
from tests.unit.features.sets import KEY, T0, document, encoded, event, feature, plan, raw, run, values

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
CHECKED = st.sampled_from([None, "2023-11-14T22:13:00Z", "2023-11-14T22:14:00+00:30", "2030-01-01T00:00:00Z"])
EVENTS = st.lists(
    st.tuples(
        st.fixed_dictionaries({}, optional={"rms": st.integers(0, 9), "unit": st.sampled_from(["mm/s", "odd", "?"])}),
        st.none() | ENTRIES,
        CHECKED,
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
    for data, known, checked in given_events:
        body = event(data)[0]
        if known is not None:
            registry = {"devices": {"a": known}} | ({} if checked is None else {"asOf": checked})
            entry = read_devices(json.dumps(registry).encode()).entries["a"]
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


MINUTE = 60_000_000
HOUR = 60 * MINUTE


def as_of(moment):
    return {**KNOWN, "asOf": rfc3339(moment)}


@pytest.mark.parametrize(
    "derived",
    [
        feature("f", "Sum", "rms * gain"),
        feature("f", "Max", "gain"),
        feature("f", "Std", "rms", filter="model == 'X1'"),
        feature("f", "Rate", None, filter="model == 'X1'"),
        feature("f", "TopK", "model", k=2),
        feature("f", "Ewma", "gain", halfLife="5m"),
        feature("f", "Quantile", "told", quantile=0.5),
    ],
)
def test_what_is_derived_is_no_fresher_than_the_registry(derived):
    made = plan(
        [derived, feature("own", "Mean", "rms")],
        schemaVersion=2,
        fields=[RMS, MODEL, GAIN, {**TOLD, "name": "told"}],
    )
    found = values(made, [event({"rms": 3}, device=as_of(T0 - 59 * MINUTE))])
    assert (found["f"].status, found["f"].age_us) == (FeatureStatus.PRESENT, 59 * MINUTE)
    found = values(made, [event({"rms": 3}, device=as_of(T0 - 61 * MINUTE))])
    assert (found["f"].status, found["f"].age_us) == (FeatureStatus.OUTSIDE_MAX_AGE, 61 * MINUTE)
    assert found["f"].value == values(made, [event({"rms": 3}, device=KNOWN)])["f"].value
    # What nothing of devices goes into is as fresh as its events.
    assert (found["own"].status, found["own"].age_us) == (FeatureStatus.PRESENT, 0)


@pytest.mark.parametrize(
    ("moments", "age"),
    [
        ([T0 - 2 * HOUR, T0 - HOUR], HOUR),
        ([T0 - HOUR, T0 - 2 * HOUR], HOUR),
        ([T0 + HOUR], 0),  # no fresher than its events either
        ([None], 0),
        ([T0 - HOUR, None], 0),
    ],
)
def test_a_window_is_as_old_as_the_latest_of_it(moments, age):
    made = plan([feature("gain", "Mean", "gain")], fields=[GAIN])
    found = values(made, [event({}, device=KNOWN if at is None else as_of(at)) for at in moments])
    assert found["gain"].age_us == age


def test_all_of_a_set_by_places_is_derived():
    made = plan([feature("n", "Count", None)], fields=[RMS], entities=[{"name": "place", "path": "device.place"}])
    came = [event({"rms": 1}, device={**as_of(T0 - HOUR), "place": "hall 2"})]
    assert values(made, came, key=b'["hall 2"]')["n"].age_us == HOUR


def test_that_nothing_came_is_as_old_as_what_says_so():
    made = plan([feature("n", "Count", None, filter="model == 'X1'")], fields=[MODEL])
    came = [event({}, device=as_of(T0 - HOUR))]
    found = values(made, came, now=T0 + 11 * MINUTE)["n"]
    assert (found.value, found.age_us, found.status) == (0.0, 71 * MINUTE, FeatureStatus.OUTSIDE_MAX_AGE)


def test_how_long_ago_an_event_was_is_not_how_old_the_registry_is():
    engine = CoreEngine(plan([feature("last", "Recency", None, filter="model == 'X1'", ttl="24h")], fields=[MODEL]))
    applied = engine.apply(engine.take(raw([event({}, device=as_of(T0 - HOUR))])), {})
    [state] = applied.changed.values()
    reading = engine.read(state, T0)
    for later in (0, 30_000_000):
        [found] = engine.at(reading, T0 + later).values
        assert (found.value, found.age_us) == (later / 1e6, HOUR + later)
        assert found == engine.read(state, T0 + later).values[0]


@pytest.mark.parametrize("told", ["yesterday", "2023-11-14T22:13:00", "2023-11-14T22:13:00Z", "20231114T221300Z"])
def test_a_time_in_any_other_form_vouches_for_nothing(told):
    """Histories of others may have been written by anything."""
    made = plan([feature("gain", "Mean", "gain")], fields=[GAIN])
    found = values(made, [event({}, device={**KNOWN, "asOf": told})])["gain"]
    assert (found.status, found.age_us) == (FeatureStatus.OUTSIDE_MAX_AGE, T0)


def test_a_time_that_is_no_text_is_refused():
    made = plan([feature("gain", "Mean", "gain")], fields=[GAIN])
    [refused] = run(made, [event({}, device={**KNOWN, "asOf": 7})]).refusals
    assert (refused.reason, refused.field) == ("WrongType", "device.asOf")


def test_a_state_of_before_registries_had_a_time_is_read_as_it_was_meant():
    made = plan([feature("gain", "Mean", "gain")], fields=[GAIN])
    states = {}
    run(made, [event({}, device=KNOWN)], states)
    fresh = states[KEY].encode(made)
    version, [[(number, [tally, total])]] = msgspec.msgpack.decode(fresh)
    old = msgspec.msgpack.encode((version, [[(number, [tally[:2], total])]]))
    assert old != fresh
    assert read(made, EntityState.decode(made, old), T0) == read(made, states[KEY], T0)


def test_one_value_may_be_a_field_and_its_own_unit():
    fields = document(
        [feature("sum", "Sum", "rms")], schemaVersion=2, fields=[{**TOLD, "toldUnit": {**UNITS, "paths": ["data.rms"]}}]
    ).fields
    made = Normalizer.compile((), fields)
    [found] = made.normalize([event({"rms": 3})[0]]).refusals
    assert (found.reason, found.field) == ("UnitUnknown", "rms")
