import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from skerry_core.bundle.manifest import Decision, DecisionKind
from skerry_core.evidence.decision import disagreeing_rows

ARGMAX = Decision(kind=DecisionKind.ARGMAX, output="y")
NAN, INF = np.nan, np.inf


def within(tolerance):
    return Decision(kind=DecisionKind.TOLERANCE, output="y", tolerance=tolerance)


@pytest.mark.parametrize(
    ("decision", "champion", "challenger", "expected"),
    [
        (ARGMAX, [[0.1, 0.9], [0.8, 0.2]], [[0.4, 0.6], [0.3, 0.7]], 1),
        (ARGMAX, [[0.5, 0.5]], [[0.6, 0.4]], 0),  # a tie goes to the first
        (ARGMAX, [[0.1, 0.9]], [[NAN, 0.9]], 1),
        (ARGMAX, [[0.1, 0.9]], [[0.1, INF]], 1),  # the same index, and still no answer
        (ARGMAX, [[NAN, 0.9]], [[0.9, 0.1]], 0),
        (ARGMAX, [[NAN, 0.9]], [[NAN, 0.9]], 1),
        (ARGMAX, [[[1, 0], [0, 1]], [[1, 0], [0, 1]]], [[[2, 0], [0, 2]], [[2, 0], [2, 0]]], 1),
        (ARGMAX, [3, 1, 2], [3, 2, 1], 2),  # labels
        (ARGMAX, [True, False], [True, True], 1),
        (ARGMAX, [[1.0, 2.0]] * 4, [[1.0, 2.0, 3.0]] * 4, 4),
        (ARGMAX, [[1.0, 2.0]] * 4, [[1.0, 2.0]] * 3, 4),
        (ARGMAX, np.zeros((0, 2)), np.zeros((0, 2)), 0),
        (within(0.5), [1.0, 2.0, 3.0], [1.5, 2.6, 2.4], 2),
        (within(0.5), [[1.0, 1.0]], [[1.0, 2.0]], 1),
        (within(0.5), [1.0], [NAN], 1),
        (within(0.5), [NAN], [1.0], 0),
        (within(0.5), [INF], [INF], 1),
        (within(0.5), 1.0, 2.0, 1),
        (within(0), [1], [1], 0),
        (within(0), [True], [False], 1),
        (within(1), np.array([2**31 - 1], np.int32), np.array([-(2**31)], np.int32), 1),  # no wrapping around
    ],
)
def test_matrix(decision, champion, challenger, expected):
    found = disagreeing_rows(decision, np.asarray(champion), np.asarray(challenger))
    assert found == expected
    assert type(found) is int


outputs = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.floats(width=32, allow_nan=True)
)


@given(outputs, st.sampled_from([ARGMAX, within(0.0), within(3.0)]))
def test_a_finite_model_agrees_with_itself_and_only_with_finite_rows(output, decision):
    expected = np.count_nonzero(~np.isfinite(output).all(axis=1))
    assert disagreeing_rows(decision, output, output.copy()) == expected


@given(outputs, outputs, st.sampled_from([ARGMAX, within(1.0)]))
def test_counts_add_over_rows(champion, challenger, decision):
    if champion.shape == challenger.shape:
        by_row = [disagreeing_rows(decision, champion[i : i + 1], challenger[i : i + 1]) for i in range(len(champion))]
        assert disagreeing_rows(decision, champion, challenger) == sum(by_row)
    else:
        assert disagreeing_rows(decision, champion, challenger) == len(champion)
