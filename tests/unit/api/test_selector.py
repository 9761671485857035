"""Label selectors: each operator, and the laws that hold between them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.selector import LabelSelector, SelectorOperator, SelectorRequirement

KEYS = st.sampled_from(["tier", "region", "example.com/class"])
VALUES = st.sampled_from(["a", "b", ""])
LABELS = st.dictionaries(KEYS, VALUES)
ROWS = st.builds(
    SelectorRequirement,
    key=KEYS,
    operator=st.sampled_from(SelectorOperator),
    values=st.lists(VALUES, max_size=3).map(tuple),
)
SELECTORS = st.builds(LabelSelector, match_labels=LABELS, match_expressions=st.lists(ROWS, max_size=3).map(tuple))


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["a"], (False, True, False)),
        ("NotIn", ["a"], (True, False, True)),
        ("Exists", [], (False, True, True)),
        ("DoesNotExist", [], (True, False, False)),
    ],
)
def test_operators_match_as_in_kubernetes(operator: str, values: list[str], expected: tuple[bool, ...]):
    row = SelectorRequirement(key="tier", operator=SelectorOperator(operator), values=tuple(values))

    assert (row.matches({}), row.matches({"tier": "a"}), row.matches({"tier": "b"})) == expected


@given(LABELS)
def test_an_empty_selector_matches_everything(labels: dict[str, str]):
    assert LabelSelector().matches(labels)


@given(SELECTORS, SELECTORS, LABELS)
def test_adding_rows_only_narrows(one: LabelSelector, two: LabelSelector, labels: dict[str, str]):
    both = LabelSelector(match_labels=one.match_labels, match_expressions=one.match_expressions + two.match_expressions)

    assert both.matches(labels) == (
        one.matches(labels) and LabelSelector(match_expressions=two.match_expressions).matches(labels)
    )


@given(KEYS, st.lists(VALUES, min_size=1).map(tuple), LABELS)
def test_not_in_is_the_opposite_of_in(key: str, values: tuple[str, ...], labels: dict[str, str]):
    inside = SelectorRequirement(key=key, operator=SelectorOperator.IN, values=values)
    outside = SelectorRequirement(key=key, operator=SelectorOperator.NOT_IN, values=values)

    assert inside.matches(labels) != outside.matches(labels)


@given(KEYS, VALUES, LABELS)
def test_a_match_label_is_an_in_of_one_value(key: str, value: str, labels: dict[str, str]):
    row = SelectorRequirement(key=key, operator=SelectorOperator.IN, values=(value,))

    assert LabelSelector(match_labels={key: value}).matches(labels) == row.matches(labels)


@given(SELECTORS)
def test_a_selector_survives_the_wire(selector: LabelSelector):
    assert LabelSelector.model_validate(selector.to_wire()) == selector
