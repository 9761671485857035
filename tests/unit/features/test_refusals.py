import pytest

from skerry_core.errors import UserMustActError
from skerry_core.features.entity_key import entity_key, entity_parts
from skerry_core.features.plan import UnsupportedSchemaError, compile_set
from skerry_core.features.read import read
from skerry_core.features.state import EntityState
from tests.unit.features.sets import KEY, MINUTE, T0, document, encoded, event, feature, plan, run, values

FIELDS = [
    {
        "name": "rms",
        "path": "data.rms",
        "type": "Float64",
        "factor": 1000.0,
        "offset": 1.0,
        "minimum": 0.0,
        "maximum": 9001.0,
    },
    {"name": "cycles", "path": "data.cycles", "type": "Int64", "required": False},
    {"name": "state", "path": "data.state", "type": "String", "required": False},
    {"name": "open", "path": "data.open", "type": "Bool", "required": False},
    {"name": "v", "path": "data.v", "type": "Vector", "length": 2, "required": False},
    {"name": "deep", "path": "data.a.b", "type": "Float64", "required": False},
]
PLAN = plan([feature("sum", "Sum"), feature("count", "Count", None)], fields=FIELDS)
GOOD = '{"subject":"press-1","data":{"rms":2}}'


def test_units():
    assert values(PLAN, [event({"rms": 2})])["sum"].value == 2001.0


@pytest.mark.parametrize(
    ("data", "reason", "field"),
    [
        ('{"rms":"2"}', "WrongType", "rms"),
        ('{"rms":true}', "WrongType", "rms"),
        ('{"rms":[1]}', "WrongType", "rms"),
        ('{"rms":1e400}', "OutOfRange", "rms"),
        ('{"rms":%s}' % ("9" * 400), "OutOfRange", "rms"),
        ('{"rms":1.7e308}', "NotFinite", "rms"),
        ('{"rms":-1}', "OutOfRange", "rms"),
        ('{"rms":9.1}', "OutOfRange", "rms"),
        ("{}", "Missing", "rms"),
        ('{"rms":null}', "Missing", "rms"),
        ("7", "WrongType", "data"),
        ("null", "WrongType", "data"),
        ('{"rms":NaN}', "NotJson", ""),
        ('{"rms":Infinity}', "NotJson", ""),
        ('{"rms":2,"cycles":1.5}', "WrongType", "cycles"),
        ('{"rms":2,"cycles":9223372036854775808}', "OutOfRange", "cycles"),
        ('{"rms":2,"cycles":%s}' % ("9" * 4000), "OutOfRange", "cycles"),
        ('{"rms":2,"cycles":1e300}', "WrongType", "cycles"),
        ('{"rms":2,"state":5}', "WrongType", "state"),
        ('{"rms":2,"state":"%s"}' % ("x" * 257), "TooLong", "state"),
        ('{"rms":2,"open":1}', "WrongType", "open"),
        ('{"rms":2,"v":[1]}', "WrongLength", "v"),
        ('{"rms":2,"v":[1,2,3]}', "WrongLength", "v"),
        ('{"rms":2,"v":[1,"2"]}', "WrongType", "v"),
        ('{"rms":2,"v":[1,null]}', "WrongType", "v"),
        ('{"rms":2,"a":5}', "WrongType", "data.a"),
        ('{"rms":2,"a":%s}' % ("[" * 100_000), "WrongType", "data.a"),
        ('{"rms":2,"z":%s}' % ("[" * 100_000 + "]" * 100_000), "NotJson", ""),
        ('{"rms":2', "NotJson", ""),
    ],
)
def test_what_is_not_as_the_set_says_is_refused_alone(data, reason, field):
    hostile = f'{{"subject":"press-1","data":{data}}}'.encode()
    states = {}
    applied = run(PLAN, [(GOOD.encode(), T0, T0), (hostile, T0, T0), (GOOD.encode(), T0, T0)], states)
    assert [(r.row, r.reason, r.field) for r in applied.refusals] == [(1, reason, field)]
    good = {}
    run(PLAN, [(GOOD.encode(), T0, T0)] * 2, good)
    assert encoded(PLAN, states) == encoded(PLAN, good)
    assert not run(PLAN, [(hostile, T0, T0)]).changed


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"7", b"[" * 100_000, b'{"subject":"\xff","data":{"rms":2}}'])
def test_what_is_no_object_is_refused(raw):
    assert len(run(PLAN, [(raw, T0, T0)]).refusals) == 1


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("null", "EntityMissing"),
        ('"%s"' % ("x" * 401), "EntityTooLong"),
        ('"%s"' % ("é" * 200), "EntityTooLong"),
        ("1" * 2000, "EntityTooLong"),
        ("true", "WrongType"),
        ("1.5", "WrongType"),
        ('["a"]', "WrongType"),
    ],
)
def test_keys_that_are_none(subject, reason):
    raw = f'{{"subject":{subject},"data":{{"rms":1}}}}'.encode()
    assert [refusal.reason for refusal in run(PLAN, [(raw, T0, T0)]).refusals] == [reason]


def test_keys_are_canonical():
    assert entity_key(["north", 7]) == entity_key(["north", "7"]) == b'["north","7"]'
    assert entity_key(["a,b", "c"]) != entity_key(["a", "b,c"])
    assert entity_parts(entity_key(['"é\\', -3])) == ('"é\\', "-3")
    both = plan(
        [feature("count", "Count", None)],
        entities=[{"name": "site", "path": "source"}, {"name": "press", "path": "data.press"}],
    )
    states = {}
    run(both, [event({"press": 7}, source="nörd"), event({"press": "7"}, source="nörd")], states)
    assert list(states) == ['["nörd","7"]'.encode()]


def test_one_path_for_entity_and_field():
    both = plan(
        [feature("count", "Count", None), feature("last", "Last", "press")],
        entities=[{"name": "number", "path": "data.press"}],
        fields=[{"name": "press", "path": "data.press", "type": "Int64"}],
    )
    states = {}
    applied = run(both, [event({"press": value}) for value in (7, True, "7", 1, 1.0)], states)
    assert [(r.row, r.reason) for r in applied.refusals] == [
        (1, "EntityInvalid"),
        (2, "WrongType"),
        (4, "EntityInvalid"),
    ]
    assert sorted(states) == [b'["1"]', b'["7"]']


def test_late_is_judged_by_the_log_alone():
    applied = run(PLAN, [event({"rms": 1}, T0, T0 + 5 * MINUTE), event({"rms": 1}, T0, T0 + 5 * MINUTE + 1)])
    assert (applied.late, applied.refusals, applied.changed) == (1, (), {KEY})


def test_rows_of_refusals_count_late_ones_too():
    applied = run(PLAN, [event({"rms": 1}, T0, T0 + 6 * MINUTE), event({}), event({"rms": 1})])
    assert [(r.row, r.reason) for r in applied.refusals] == [(1, "Missing")]


def test_a_device_from_the_future_is_taken_as_of_now():
    found = values(PLAN, [event({"rms": 1}, T0 + 10**15, T0)])
    assert found["sum"].event_time == T0


def test_a_clock_that_was_ahead_wipes_nothing():
    states = {}
    run(PLAN, [event({"rms": 1}, T0), event({"rms": 2}, T0 + 10**15), event({"rms": 3}, T0 + MINUTE)], states)
    assert read(PLAN, states[KEY], T0 + MINUTE).values[0].value == 1001.0 + 3001.0


def test_a_node_that_wakes_in_1970_wipes_nothing():
    states = {}
    before = [event({"rms": 1}, T0 + i * MINUTE) for i in range(10)]
    woken = [event({"rms": 2}, T0 + 11 * MINUTE, i * MINUTE) for i in range(10)]
    run(PLAN, before + woken, states)
    assert read(PLAN, states[KEY], 9 * MINUTE).values[0].value == 10 * 2001.0
    run(PLAN, [event({"rms": 3}, T0 + 10 * MINUTE)], states)
    assert read(PLAN, states[KEY], T0 + 10 * MINUTE).values[0].value == 9 * 1001.0 + 3001.0


def test_an_empty_batch():
    assert run(PLAN, []).changed == frozenset()


@pytest.mark.parametrize(
    ("features", "more", "reason"),
    [
        ([feature("f", "Sum", None)], {}, "FeatureSetInvalid"),
        ([feature("f", "Sum", "state")], {}, "FeatureSetInvalid"),
        ([feature("f", "Sum", "v")], {}, "FeatureSetInvalid"),
        ([feature("f", "EmbeddingMean", "rms", length=3)], {}, "FeatureSetInvalid"),
        ([feature("f", "EmbeddingMean", "v", length=2)], {}, "FeatureSetInvalid"),
        ([feature("f", "Quantile")], {}, "FeatureSetInvalid"),
        ([feature("f", "Histogram", buckets=[2.0, 1.0])], {}, "FeatureSetInvalid"),
        ([feature("f", "Sum"), feature("f", "Max")], {}, "FeatureSetInvalid"),
        ([feature("f", "Sum", "rms +")], {}, "ExpressionInvalid"),
        ([feature("f", "Sum", "rmss * 2.0")], {}, "ExpressionInvalid"),
        ([feature("f", "Sum", "1.0")], {}, "ExpressionInvalid"),
        ([feature("f", "Sum", "sqrt(rms)")], {}, "ExpressionInvalid"),
        ([feature("f", "Sum", filter="state")], {}, "FeatureSetInvalid"),
        ([feature("f", "Sum")], {"fields": [{"name": "in", "path": "data.in", "type": "Bool"}]}, "FeatureSetInvalid"),
        ([feature("f", "Sum", "v.map(x, x)[0]")], {}, "ExpressionInvalid"),
        ([feature("f", "Sum")], {"entities": [{"name": "rms", "path": "subject"}]}, "FeatureSetInvalid"),
        ([feature("f", "Sum")], {"entities": [{"name": "e", "path": "data"}]}, "FeatureSetInvalid"),
    ],
)
def test_sets_that_can_not_be_computed(features, more, reason):
    with pytest.raises(UserMustActError) as error:
        plan(features, **more)
    assert error.value.reason == reason


def test_an_unknown_schema_is_refused_by_name():
    with pytest.raises(UnsupportedSchemaError, match=r"plant/presses 1\.0\.0 is of schemaVersion 3"):
        compile_set(document(schemaVersion=3))


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x92\x02\x90", b"\x92\x01\x90", b"\x92\x01\x91\x91\x92\x01\x90", b"x" * 99]
)
def test_bytes_that_are_no_state(data):
    with pytest.raises(ValueError):  # noqa: PT011 - what is wrong is told in several ways
        EntityState.decode(PLAN, data)
