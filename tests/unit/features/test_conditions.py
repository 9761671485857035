"""Conditions that need no interpreter give what CEL gives: true, false, or an error."""

import cel
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skerry_core.features.conditions import parse, typed
from skerry_core.features.expressions import Expression

NAMES = ("a", "b", "c")
TWO53 = 1 << 53
LITERALS = st.one_of(
    st.sampled_from(
        ["0", "1", "-1", "1.0", "-0.0", "1.5e3", f"{TWO53 + 1}", f"{TWO53 + 1}.0", f"{-(1 << 63)}", "true", "false"]
    ),
    st.sampled_from(["'run'", '"run"', "''", "'é'", "'\U0001f600'", "'&&'", "'true'"]),
    st.integers(-(1 << 63), (1 << 63) - 1).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr).filter(lambda text: "." in text),
)
OPERATORS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
COMPARISONS = st.one_of(
    st.tuples(st.sampled_from(NAMES), OPERATORS, LITERALS),
    st.tuples(LITERALS, OPERATORS, st.sampled_from(NAMES)),
).map(" ".join)
EXPRESSIONS = st.recursive(
    st.one_of(COMPARISONS, COMPARISONS, st.sampled_from(["a", "b", "c", "!a", "!b"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" && ", "||"]), inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"!({text})"),
    ),
    max_leaves=6,
)
NUMBERS = st.one_of(st.integers(-3, 3), st.integers(TWO53 - 2, TWO53 + 2), st.integers(-(1 << 63), (1 << 63) - 1))
COLUMNS = st.sampled_from(
    [
        NUMBERS,
        st.one_of(NUMBERS.map(float), st.floats(allow_nan=False, allow_infinity=False)),
        st.booleans(),
        st.sampled_from(["run", "", "é", "true", "\U0001f600", "\uffff"]),
        st.just([1.0]),
        st.one_of(st.integers(0, 1), st.booleans()),
    ]
)


def rows():
    """Rows of three columns, each of one type, now and then null."""
    return st.tuples(*[COLUMNS] * len(NAMES)).flatmap(
        lambda kinds: st.lists(st.tuples(*(st.one_of(kind, kind, st.none()) for kind in kinds)), min_size=1, max_size=6)
    )


@pytest.mark.slow
@settings(max_examples=400)
@given(EXPRESSIONS, rows())
@example("a > 1 && b > 1", [(None, 0, 0), (None, 2, 0), (2, None, 0)])
@example("a > 1 || b > 1", [(None, 0, 0), (None, 2, 0), ("x", 2, 0)])
def test_as_cel_says(text, table):
    condition = parse(text)
    whole = cel.compile(text)
    if condition is None:
        return
    columns = {name: typed(values) for name, values in zip(NAMES, zip(*table, strict=True), strict=True)}
    found = condition.truth(columns.__getitem__, len(table))
    if found is None:
        return
    said = [
        True if true else False if false else None
        for true, false in zip(*(each.tolist() for each in found), strict=True)
    ]
    assert said == [Expression(text, NAMES, whole).evaluate(dict(zip(NAMES, row, strict=True))) for row in table]


@given(COMPARISONS, rows())
def test_comparisons_and_columns_of_one_type_need_no_cel(text, table):
    assert parse(text) is not None
    assert all(
        typed(values) for values in zip(*table, strict=True) if len({type(v) for v in values if v is not None}) < 2
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a",
            "(a)",
            "a + 1 > 2",
            "a > b",
            "1 < 2",
            "size(a) > 1",
            "a.startsWith('x')",
            "a > 1u",
            "a > 0x10",
            "a == null",
        ),
        *(
            r"a == 'x\n'",
            "a == r'x'",
            "a in [1]",
            "a > 1 ? true : false",
            "a > 1 == true",
            "a < 1 < 2",
            "!a > 1",
            "a[0] > 1",
        ),
        *(
            "a.b > 1",
            "a == b'x'",
            "a > 1 // && b",
            "a == '''x'''",
            "a > -b",
            "a > 1 && b + 1",
            "a > 1 && null",
            "!null",
            "a == 01",
            "!1",
            "a > .5",
        ),
        "(" * 40 + "a > 1" + ")" * 40,
    ],
)
def test_what_is_more_is_left_to_cel(text):
    assert parse(text) is None
