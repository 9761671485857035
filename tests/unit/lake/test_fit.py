"""Values into columns: what fits goes in unchanged, what doesn't is told, nothing is bent."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.columnar import Column, Kind, Strings
from skerry_operator.ingest.fit import fit, proposed_type
from skerry_operator.ingest.schema import ColumnType, column_name

BIG = 2**53 + 1


def strings(values, *, coded=False):
    texts = sorted(set(values)) if coded else list(values)
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    codes = np.array([texts.index(value) for value in values], np.int64) if coded else None
    return Strings(offsets, b"".join(encoded), codes)


def column(kind, values):
    """A column of Python values, None where there is none."""
    valid = np.array([value is not None for value in values])
    valid = None if valid.all() else valid
    filled = [_FILLERS[kind] if value is None else value for value in values]
    if kind is Kind.JSON:
        return Column(("x",), kind, strings([json.dumps(value) for value in filled]), valid)
    if kind is Kind.STRING:
        return Column(("x",), kind, strings(filled, coded=len(filled) % 2 == 0), valid)
    if kind in {Kind.INTS, Kind.FLOATS}:
        flat = [number for value in filled for number in value]
        offsets = np.cumsum([0, *map(len, filled)]).astype(np.int64)
        return Column(("x",), kind, np.array(flat, np.int64 if kind is Kind.INTS else np.float64), valid, offsets)
    return Column(("x",), kind, np.array(filled, _TYPES[kind]), valid)


_FILLERS = {
    Kind.BOOL: False,
    Kind.INT: 0,
    Kind.FLOAT: 0.0,
    Kind.STRING: "",
    Kind.INTS: [],
    Kind.FLOATS: [],
    Kind.JSON: None,
}
_TYPES = {Kind.BOOL: np.bool_, Kind.INT: np.int64, Kind.FLOAT: np.float64}

B, D, L, T, N, J = ColumnType


@pytest.mark.parametrize(
    ("kind", "values", "column_type", "fitted", "misfit"),
    [
        (Kind.BOOL, [True, None], B, [True, None], []),
        (Kind.BOOL, [True, None], D, [None, None], [0]),
        (Kind.BOOL, [True, None], T, [None, None], [0]),
        (Kind.BOOL, [True, None], J, ["true", None], []),
        (Kind.INT, [3, None, BIG], D, [3.0, None, None], [2]),
        (Kind.INT, [3, None, BIG], L, [3, None, BIG], []),
        (Kind.INT, [1, 0], B, [None, None], [0, 1]),
        (Kind.INT, [3], N, [None], [0]),
        (Kind.FLOAT, [0.5, None], D, [0.5, None], []),
        (Kind.FLOAT, [2.0, 0.5, 1e300, -(2.0**63)], L, [2, None, None, None], [1, 2, 3]),
        (Kind.STRING, ["a", None, ""], T, ["a", None, ""], []),
        (Kind.STRING, ["a", "b"], T, ["a", "b"], []),
        (Kind.STRING, ["21", None], D, [None, None], [0]),
        (Kind.STRING, ['"', None], J, ['"\\""', None], []),
        (Kind.INTS, [[1, 2], None, []], N, [[1.0, 2.0], None, []], []),
        (Kind.INTS, [[1], [BIG]], N, [[1.0], None], [1]),
        (Kind.INTS, [[1]], J, ["[1]"], []),
        (Kind.FLOATS, [[0.5], None], N, [[0.5], None], []),
        (Kind.FLOATS, [[0.5]], D, [None], [0]),
        (Kind.JSON, [1, "a", None, [2], True], D, [1.0, None, None, None, None], [1, 3, 4]),
        (Kind.JSON, [1, "a", None], T, [None, "a", None], [0]),
        (Kind.JSON, [1, "a", None, [2], True], B, [None, None, None, None, True], [0, 1, 3]),
        (Kind.JSON, [[1, 2.5], ["a"], [True]], N, [[1.0, 2.5], None, None], [1, 2]),
        (Kind.JSON, [2**64, 7, 7.0, 7.5], L, [None, 7, 7, None], [0, 3]),
        (Kind.JSON, [{"a": 1}], J, ['{"a": 1}'], []),
    ],
)
def test_what_fits(kind, values, column_type, fitted, misfit):
    result = fit(column(kind, values), column_type)
    assert result.values.to_pylist() == fitted
    assert result.values.type == column_type.arrow
    assert list(np.flatnonzero(result.misfit)) == misfit


@pytest.mark.parametrize(
    ("kind", "values", "column_type"),
    [
        (Kind.BOOL, [True], B),
        (Kind.INT, [3, -(2**53)], D),
        (Kind.INT, [3, BIG], L),
        (Kind.INT, [-(2**63)], L),
        (Kind.FLOAT, [0.5], D),
        (Kind.STRING, ["a"], T),
        (Kind.INTS, [[1]], N),
        (Kind.INTS, [[BIG]], J),
        (Kind.FLOATS, [[0.5]], N),
        (Kind.JSON, [1, 2, 3, "n/a"], D),
        (Kind.JSON, ["a", "b", 3], T),
        (Kind.JSON, [["a"], ["b"]], J),
        (Kind.JSON, [2**64], J),
        (Kind.JSON, [None], J),
    ],
)
def test_what_a_new_column_holds(kind, values, column_type):
    assert proposed_type(column(kind, values)) is column_type


_VALUES = {
    Kind.BOOL: st.booleans(),
    Kind.INT: st.integers(-(2**63), 2**63 - 1),
    Kind.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Kind.STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    Kind.INTS: st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
    Kind.FLOATS: st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    Kind.JSON: st.one_of(st.integers(-(2**70), 2**70), st.booleans(), st.text("ab", max_size=2), st.just(["a"])),
}


@given(st.data(), st.sampled_from(Kind), st.sampled_from(ColumnType))
def test_a_value_is_kept_as_it_is_or_its_row_is_told(data, kind, column_type):
    values = data.draw(st.lists(st.none() | _VALUES[kind], min_size=1, max_size=6))
    result = fit(column(kind, values), column_type)
    for given_value, kept, misfit in zip(values, result.values.to_pylist(), result.misfit, strict=True):
        if given_value is None:
            assert (kept, misfit) == (None, False)
        elif misfit:
            assert kept is None
        else:
            assert (json.loads(kept) if column_type is J else kept) == given_value


@given(st.data(), st.sampled_from(Kind))
def test_a_column_proposed_for_values_of_one_kind_takes_them_all(data, kind):
    values = data.draw(st.lists(_VALUES[kind], min_size=1, max_size=6))
    if kind is Kind.JSON:
        values = values[:1]
    made = column(kind, values)
    assert fit(made, proposed_type(made)).fits


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("model",), "model"),
        (("data", "oil", "bar"), "data_oil_bar"),
        (("Data", "Öl-Druck [bar]"), "data_öl_druck_bar_"),
        (("seq",), "body_seq"),
        (("Set_Aside",), "body_set_aside"),
        (("",), "_"),
        (("x" * 500,), "x" * 120),
    ],
)
def test_a_column_is_named_for_its_path(path, name):
    assert column_name(path) == name
