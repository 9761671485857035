"""The merge of labels: whatever order they come in, however often, on whichever node."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.labels.feedback import Feedback, label, merge_all, merged

labels = st.builds(
    label,
    st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.5]), min_size=1, max_size=2),
    st.none() | st.integers(0, 5),
    st.integers(0, 2),
    training=st.booleans(),
)


@given(st.lists(labels, min_size=1, max_size=8), st.randoms())
def test_order_and_repetition_change_nothing(found, random):
    shuffled = random.sample(found, len(found)) + random.choices(found, k=3)
    assert merge_all(shuffled) == merge_all(found)


@given(labels, labels, labels)
def test_grouping_changes_nothing(one, other, third):
    assert merged(merged(one, other), third) == merged(one, merged(other, third))
    assert merged(one, one) == one
    assert merged(one, other) == merged(other, one)


@given(st.lists(labels, min_size=1, max_size=8))
def test_the_highest_authority_alone_tells_what_is_true(found):
    top = max(each.authority for each in found)
    said = {each.opinions[0] for each in found if each.authority == top}
    together = merge_all(found)
    assert together.truth == (said.pop() if len(said) == 1 else None)
    assert together.training is all(each.training for each in found)


@pytest.mark.parametrize(
    ("found", "truth", "said"),
    [
        ([label([3], 50)], (3.0,), 50),
        ([label([3], 50), label([3], 20)], (3.0,), 20),
        ([label([3], None), label([3], 20)], (3.0,), 20),
        ([label([3], None)], (3.0,), None),
        ([label([3], 50), label([4], 60)], None, 50),
        ([label([3], 50), label([4], 60), label([4], 70, 1)], (4.0,), 70),
        ([label([3], 50, 2), label([4], 60, 1)], (3.0,), 50),
        ([label([3], 50), label([4], 60), label([3], 70, 1), label([4], 80, 1)], None, 70),
        ([label([3], 50), label([3, 3], 60)], None, 50),
        ([label([0.0], 1), label([-0.0], 2)], (0.0,), 1),
    ],
)
def test_what_labels_say_together(found, truth, said):
    together = reduce(merged, found)
    assert (together.truth, together.said) == (truth, said)


def test_what_is_kept_is_bounded():
    together = merge_all(label([number], number) for number in range(100))
    assert together == Feedback(0, ((0.0,), (1.0,)), 0)
