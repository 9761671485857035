"""Privacy rules: what each makes of a value, and that nothing which a rule marks ever comes out."""

import json
from datetime import timedelta

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skerry_core.lineage.record import TensorRecord
from skerry_core.sync_policy.document import Aggregate, Coarsen, Rule
from skerry_edge.sync.outbound.path import Tally
from skerry_edge.sync.outbound.rules import Rules
from tests.unit.sync_outbound.columns import data_class, event

KEY = b"k" * 32
HOURLY = Aggregate(window=timedelta(hours=1), min_count=5, statistics=("Mean",))
GONE = object()


def drop(path):
    return Rule(path=path, action="Drop")


def hashed(path):
    return Rule(path=path, action="Hash")


def coarse(path, **how):
    return Rule(path=path, action="Coarsen", coarsen=Coarsen(**how))


def aggregated(path):
    return Rule(path=path, action="Aggregate", aggregate=HOURLY)


def applied(data, *rules, **fields):
    """(What is left of `data` or GONE, misfits)."""
    tally = Tally()
    body = Rules.compile(data_class(*rules, **fields), KEY).apply(event(data), tally)
    assert body is not None
    return json.loads(body).get("data", GONE), tally.misfits


@pytest.mark.parametrize(
    ("path", "data", "left", "misfits"),
    [
        ("name", {"name": "Ann", "v": 1}, {"v": 1}, 0),
        ("name", {"v": 1}, {"v": 1}, 0),
        ("name", {"name": None, "v": 1}, {"name": None, "v": 1}, 0),
        ("name", {"name": {"first": "Ann"}, "v": 1}, {"v": 1}, 0),
        ("person.name", {"person": {"name": "Ann", "age": 3}}, {"person": {"age": 3}}, 0),
        ("person.name", {"person": "Ann, 3", "v": 1}, {"v": 1}, 1),
        ("person.name", {"person": [{"name": "Ann"}], "v": 1}, {"v": 1}, 1),
        ("person.name", {"person": None}, {"person": None}, 0),
        ("person.name", {"person.name": "Ann", "v": 1}, {"v": 1}, 0),
        ("a.b.c", {"a.b": {"c": 1, "d": 2}, "a": {"b.c": 3, "e": 4}}, {"a.b": {"d": 2}, "a": {"e": 4}}, 0),
        ("rows.*.id", {"rows": [{"id": 1, "v": 2}, {"id": 3}]}, {"rows": [{"v": 2}, {}]}, 0),
        ("rows.*.id", {"rows": [{"id": 1, "v": 2}, "x", None]}, {"rows": [{"v": 2}, None, None]}, 1),
        ("rows.*.id", {"rows": {"a": {"id": 1}, "b": {"v": 2}}}, {"rows": {"a": {}, "b": {"v": 2}}}, 0),
        ("rows.*", {"rows": [1, "x", [2]]}, {"rows": [None, None, None]}, 0),
        ("rows.*", {"rows": 5, "v": 1}, {"v": 1}, 1),
        ("*", {"a": 1, "b": {"c": 2}}, {}, 0),
        ("*.*", {"a": [1, 2], "b": {"c": 2}}, {"a": [None, None], "b": {}}, 0),
        ("*.*.x", [[{"x": 1, "y": 2}]], [[{"y": 2}]], 0),
        ("name", "Ann", GONE, 1),
        ("name", 7, GONE, 1),
        ("name", [{"name": "Ann"}], GONE, 1),
    ],
)
def test_paths(path, data, left, misfits):
    assert applied(data, drop(path)) == (left, misfits)


WITHHELD = {"datatype": "FP32", "shape": [1, 2]}
X = {**WITHHELD, "data": [13.5, 27.0]}


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (drop("inputs"), {"outputs": {"y": X}}),
        (drop("inputs.x.1"), {"inputs": {"z": X}, "outputs": {"y": X}}),
        (drop("inputs.*.data"), {"inputs": {"x.1": WITHHELD, "z": WITHHELD}}),
        (coarse("inputs.z.data.*", step=10), {"inputs": {"x.1": X, "z": {**X, "data": [10, 20]}}}),
    ],
)
def test_a_predictions_tensors(rule, left):
    record = {"request": "r", "inputs": {"x.1": X, "z": X}, "outputs": {"y": X}}
    body = Rules.compile(data_class(rule), KEY).apply(msgspec.json.encode(record), Tally())
    assert json.loads(body) == {"request": "r", "outputs": {"y": X}, **left}
    msgspec.convert(json.loads(body).get("inputs", {}), dict[str, TensorRecord])


@pytest.mark.parametrize(
    ("how", "value", "left"),
    [
        ({"step": 10}, 127, 120),
        ({"step": 10}, 127.9, 120),
        ({"step": 10}, -1, -10),
        ({"step": 0.1}, 0.3, 0.3),
        ({"step": 0.01}, 59.91387, 59.91),
        ({"step": 0.01}, -10.7522, -10.76),
        ({"step": 0.5}, 1, 1.0),
        ({"step": 0.5}, -0.0, 0.0),
        ({"step": 10}, "127", GONE),
        ({"step": 10}, True, GONE),
        ({"step": 10}, [127], GONE),
        ({"step": 1}, 1e300, GONE),
        ({"step": 1}, 10**40, GONE),
        ({"step": 1e12}, 10**20 + 5, 10**20),
        ({"truncate_to": timedelta(hours=1)}, "2026-03-01T12:34:56.789Z", "2026-03-01T12:00:00Z"),
        ({"truncate_to": timedelta(hours=24)}, "2026-03-01T01:30:00+02:00", "2026-02-28T00:00:00Z"),
        ({"truncate_to": timedelta(milliseconds=500)}, "2026-03-01T00:00:00.789Z", "2026-03-01T00:00:00.500000Z"),
        ({"truncate_to": timedelta(hours=1)}, "1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z"),
        ({"truncate_to": timedelta(hours=1)}, "0001-01-01T00:00:00+14:00", GONE),
        ({"truncate_to": timedelta(hours=1)}, "yesterday", GONE),
        ({"truncate_to": timedelta(hours=1)}, 1767225600, GONE),
        ({"prefix": 3}, "0250 Oslo", "025"),
        ({"prefix": 3}, "02", "02"),
        ({"prefix": 3}, 250, GONE),
    ],
)
def test_coarsens(how, value, left):
    gone = left is GONE
    assert applied({"x": value, "y": 1}, coarse("x", **how)) == ({"y": 1} if gone else {"x": left, "y": 1}, int(gone))


@pytest.mark.parametrize("value", ["Ann", "", "é", 5, 5.5, -0.0, True, False, 10**30])
def test_hashes_scalars_to_text(value):
    (left, misfits) = applied({"x": value}, hashed("x"))
    assert misfits == 0
    assert len(left["x"]) == 32
    assert set(left["x"]) <= set("0123456789abcdef")


def test_hash_of_equal_values_is_equal_within_a_data_class_only():
    values = {"a": "7", "b": "7", "c": 7, "d": 7.0, "e": True}
    left, _ = applied(values, hashed("*"))
    assert left["a"] == left["b"]
    assert left["c"] == left["d"]
    assert len(set(left.values())) == 3
    other, _ = applied(values, hashed("*"), name="other")
    assert not set(other.values()) & set(left.values())


@pytest.mark.parametrize("value", [{"name": "Ann"}, ["Ann"], []])
def test_hash_takes_out_what_is_no_scalar(value):
    assert applied({"x": value}, hashed("x")) == ({}, 1)


def test_rules_apply_in_order_each_to_what_the_last_left():
    assert applied({"age": 47}, coarse("age", step=10), hashed("*")) == applied({"age": 40}, hashed("age"))


def test_aggregated_numbers_leave_their_record_and_are_collected():
    rules = Rules.compile(data_class(coarse("rows.*.v", step=10), aggregated("rows.*.v"), drop("x")), KEY)
    body = event({"rows": [{"v": 17}, {"v": 25.5, "w": 1}, {"v": "n/a"}, {"v": None}], "x": 1})
    tally = Tally()
    assert json.loads(rules.apply(body, tally))["data"] == {"rows": [{}, {"w": 1}, {}, {"v": None}]}
    assert tally.misfits == 1
    assert rules.collected(body) == [(1, 10), (1, 20)]


@pytest.mark.parametrize(
    ("hash_subject", "told", "left"),
    [(True, {"place": "desk 4"}, None), (False, {"place": "desk 4"}, {"place": "desk 4"}), (True, "own", "own")],
)
def test_whose_name_is_hidden_is_not_told_by_the_device_either(hash_subject, told, left):
    rules = Rules.compile(data_class(drop("who"), hash_subject=hash_subject), KEY)
    record = json.loads(rules.apply(event({"who": "ann"}, subject="ann", device=told), Tally()))
    assert record.get("device") == left


def test_subject_is_hashed_as_values_are():
    rules = Rules.compile(data_class(hashed("who"), hash_subject=True), KEY)
    record = json.loads(rules.apply(event({"who": "ann"}, subject="ann"), Tally()))
    assert record["subject"] == record["data"]["who"] != "ann"
    tally = Tally()
    odd = b'{"specversion":"1.0","subject":["ann"]}'
    assert json.loads(rules.apply(odd, tally)) == {"specversion": "1.0"}
    assert tally.misfits == 1


def test_binary_data_does_not_pass_a_rule():
    tally = Tally()
    body = Rules.compile(data_class(drop("name")), KEY).apply(event(data_base64="QW5u"), tally)
    assert b"QW5u" not in body
    assert tally.misfits == 1


def test_own_records_are_below_themselves():
    body = b'{"request":"abc","model":"m"}'
    assert json.loads(Rules.compile(data_class(drop("request")), KEY).apply(body, Tally())) == {"model": "m"}


def test_a_class_without_rules_leaves_bytes_as_they_are():
    assert Rules.compile(data_class(), KEY).apply(b'{"a": 1 , "a":2', Tally()) == b'{"a": 1 , "a":2'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"Ann"',
        b'{"data":{"name":"Ann"',
        b'{"data":{"name":"\xff"}}',
        b'{"data":{"name":1e999}}',
        b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_cannot_be_read_does_not_leave(body):
    rules = Rules.compile(data_class(drop("name"), aggregated("v")), KEY)
    assert rules.apply(body, Tally()) is None
    assert not rules.collected(body)


def test_a_key_given_twice_hides_nothing():
    rules = Rules.compile(data_class(drop("name")), KEY)
    body = b'{"specversion":"1.0","data":{"name":"Ann","name":"Eve"},"data":{"n\\u0061me":"Bob","v":1}}'
    assert json.loads(rules.apply(body, Tally())) == {"specversion": "1.0", "data": {"v": 1}}


# --- no value of a marked path comes out, whatever the body and the rules are

KEYS = st.sampled_from(["a", "b", "c", "a.b", "*", ""])
PATHS = st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=4).map(".".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
ACTIONS = st.sampled_from([drop, hashed, aggregated, lambda path: coarse(path, step=10)])
RULES = st.lists(st.tuples(PATHS, ACTIONS), min_size=1, max_size=4).map(
    lambda pairs: [make(path) for path, make in pairs]
)
BODIES = st.dictionaries(st.sampled_from(["data", "subject", "a", "data_base64"]), JSON, max_size=4).map(
    lambda record: json.dumps({"specversion": "1.0", **record}).encode()
)


def marked(value, keys):
    """Values that a path marks, found by another way than the code's: all ways to read the path's keys."""
    if not keys:
        return [value]
    if isinstance(value, list):
        return [leaf for item in value for leaf in marked(item, keys[1:])] if keys[0] == "*" else [value]
    if isinstance(value, dict):
        if keys[0] == "*":
            return [leaf for item in value.values() for leaf in marked(item, keys[1:])]
        return [
            leaf
            for end in range(1, len(keys) + 1)
            if ".".join(keys[:end]) in value
            for leaf in marked(value[".".join(keys[:end])], keys[end:])
        ]
    return [value]


def scalars(value):
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in scalars(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in scalars(item)]
    return [] if value is None else [value]


def numbered(value, counter):
    """The same shape with every scalar replaced by a text of its own."""
    if isinstance(value, dict):
        return {key: numbered(item, counter) for key, item in value.items()}
    if isinstance(value, list):
        return [numbered(item, counter) for item in value]
    counter.append(None)
    return f"secret-{len(counter):06d};"


@pytest.mark.slow
@settings(max_examples=150)
@given(JSON, RULES)
def test_no_marked_value_comes_out(shape, rules):
    data = numbered(shape, [])
    body = Rules.compile(data_class(*rules), KEY).apply(event(data), Tally())
    assert body is not None
    for rule in rules:
        for value in marked(data, rule.path.split(".")):
            for secret in scalars(value):
                assert secret.encode() not in body


@pytest.mark.slow
@settings(max_examples=150)
@given(BODIES | st.binary(max_size=60), RULES)
def test_total_and_settled(body, rules):
    """Any bytes are answered, and what came out has nothing left for a rule to change but hashes."""
    compiled = Rules.compile(data_class(drop("z"), *[rule for rule in rules if rule.action != "Hash"]), KEY)
    once = compiled.apply(body, Tally())
    assume(once is not None)
    tally = Tally()
    assert json.loads(compiled.apply(once, tally)) == json.loads(once)
    assert tally.values == []


@settings(max_examples=100)
@given(st.data(), JSON, st.sampled_from(["a", "a.b", "a.*", "*.a", "b.*.a"]))
def test_what_comes_out_does_not_depend_on_what_was_dropped(data, shape, path):
    """Two events that differ in what is marked only come out as the same bytes (noninterference)."""
    rules = Rules.compile(data_class(drop(path)), KEY)

    def with_others(value, keys):
        if not keys:
            return data.draw(JSON.filter(lambda other: other is not None)) if value is not None else None
        if isinstance(value, dict) and keys[0] != "*":
            return {k: with_others(v, keys[1:]) if k == keys[0] else v for k, v in value.items()}
        if isinstance(value, dict):
            return {k: with_others(v, keys[1:]) for k, v in value.items()}
        if isinstance(value, list) and keys[0] == "*":
            return [with_others(v, keys[1:]) for v in value]
        return value

    one, other = rules.apply(event(shape), Tally()), rules.apply(event(with_others(shape, path.split("."))), Tally())
    assert one == other


@given(
    st.integers(-(10**6), 10**6), st.fractions(0, 1).filter(lambda part: part < 1), st.sampled_from([0.1, 0.5, 1, 25])
)
def test_all_numbers_of_one_step_come_out_alike(cell, part, step):
    rules = Rules.compile(data_class(coarse("x", step=step)), KEY)
    low, value = round(cell * step, 6), float((cell + part) * step)
    assume(low <= value < round((cell + 1) * step, 6) - 1e-6)
    assert rules.apply(event({"x": low}), Tally()) == rules.apply(event({"x": value}), Tally())
