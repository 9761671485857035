from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.model import LabelError
from skerry_core.assignment.document import LabelLimits
from skerry_core.evidence.collect import combine
from skerry_core.evidence.window import MICROS, Evidence, Labelled
from skerry_core.verdict.port import Outcome
from skerry_core.verdict.thresholds import DISAGREEMENT, ERROR_RATE, LABELLED_ERROR, LATENCY_RATIO, judge
from tests.unit.verdict.conformance import LIMITS, JudgeConformance, after, expect, traffic


class TestConformance(JudgeConformance):
    judge = staticmethod(judge)


def verdict(evidence, expected=None, limits=LIMITS, now=None):
    return judge(evidence, limits, expected, now or after(evidence))


@pytest.mark.parametrize(
    ("wrong", "expected", "outcome"),
    [
        (0.06, None, Outcome.PASS),
        (0.45, None, Outcome.PASS),
        (0.55, None, Outcome.FAIL),
        (0.06, 0.02, Outcome.PASS),
        (0.08, 0.02, Outcome.FAIL),
        (0.0, 0.3, Outcome.PASS),
        (0.55, 0.6, Outcome.FAIL),  # the cap holds, whatever was expected
    ],
)
def test_disagreement(wrong, expected, outcome):
    found = verdict(traffic(wrong=wrong), None if expected is None else expect(expected))
    assert found.outcome is outcome
    assert found.metric == (DISAGREEMENT if outcome is Outcome.FAIL else "")


def test_disagreement_fails_at_min_samples_and_not_before():
    assert verdict(traffic(windows=1, pairs=199, wrong=1)).outcome is Outcome.INCONCLUSIVE
    assert verdict(traffic(windows=1, pairs=200, wrong=1)).metric == DISAGREEMENT


@pytest.mark.parametrize(
    ("windows", "pairs", "outcome"), [(5, 60, "inconclusive"), (6, 33, "inconclusive"), (6, 34, "pass")]
)
def test_pass_needs_rows_and_complete_windows(windows, pairs, outcome):
    evidence = traffic(windows=windows, pairs=pairs)
    assert verdict(evidence).outcome == outcome
    unfinished = verdict(evidence, now=after(evidence) - timedelta(milliseconds=1))
    assert unfinished.outcome == (Outcome.INCONCLUSIVE if windows <= 6 else outcome)


@pytest.mark.parametrize(("errors", "metric"), [(2, ""), (3, ERROR_RATE)])
def test_errors_fail_as_soon_as_no_success_could_outweigh_them(errors, metric):
    """1 % of the 200 requests that are waited for anyway are two."""
    assert verdict(traffic(windows=1, pairs=10, errors=errors)).metric == metric


def test_a_challenger_that_never_answers_fails_without_a_row():
    assert verdict(traffic(windows=1, pairs=20, errors=20)).metric == ERROR_RATE


def windows_of(*slow: bool) -> Evidence:
    one, other = traffic(windows=len(slow)), traffic(windows=len(slow), ours=0.01, theirs=0.2)
    picked = tuple(other.windows[n] if is_slow else one.windows[n] for n, is_slow in enumerate(slow))
    return replace(one, windows=picked)


@pytest.mark.parametrize(
    ("slow", "metric"),
    [
        ([False, True, False, True, False, False, False, False], ""),
        ([False, False, True, False, True, False, True, False], LATENCY_RATIO),
        ([True, True, False, False, False, False, False, False], ""),
        ([True, True, False, True, False, False, False, False, False, False, False, False], ""),  # long ago
        ([True, True, True], LATENCY_RATIO),
    ],
)
def test_latency_fails_in_n_of_the_last_m_windows(slow, metric):
    assert verdict(windows_of(*slow)).metric == metric


def test_thin_windows_say_nothing_about_latency_alone_but_together():
    slow = {"ours": 0.01, "theirs": 0.2}
    assert verdict(traffic(windows=20, pairs=4, **slow)).outcome is Outcome.INCONCLUSIVE
    assert verdict(traffic(windows=60, pairs=4, **slow)).metric == LATENCY_RATIO


def test_late_answers_count_against_the_challenger():
    evidence = traffic(ours=0.01, theirs=0.5)
    assert verdict(evidence).metric == LATENCY_RATIO


@settings(deadline=None)
@given(
    wrong=st.floats(0, 1),
    windows=st.integers(1, 10),
    pairs=st.integers(1, 60),
    rate=st.none() | st.floats(0, 1),
)
def test_more_disagreement_never_helps(wrong, windows, pairs, rate):
    expected = None if rate is None else expect(rate)
    found = verdict(traffic(windows=windows, pairs=pairs, wrong=wrong), expected)
    worse = verdict(traffic(windows=windows, pairs=pairs, wrong=min(1.0, wrong + 0.2)), expected)
    if found.outcome is Outcome.FAIL:
        assert worse.outcome is Outcome.FAIL


ASKED = LIMITS.model_copy(
    update={
        "labels": LabelLimits(
            error=LabelError.MISMATCH,
            min_labels=30,
            max_error_excess=0.05,
            max_age=timedelta(days=30),
            min_authority=0,
        )
    }
)


@pytest.mark.parametrize(
    ("rows", "ours", "theirs", "outcome"),
    [
        (0, 0, 0, Outcome.INCONCLUSIVE),
        (29, 0, 29, Outcome.INCONCLUSIVE),  # few labels say nothing, however bad
        (30, 0, 1, Outcome.PASS),
        (30, 0, 2, Outcome.FAIL),
        (30, 20, 21, Outcome.PASS),
        (100, 10, 15, Outcome.PASS),
        (100, 10, 16, Outcome.FAIL),
        (100, 60, 10, Outcome.PASS),
    ],
)
def test_labels(rows, ours, theirs, outcome):
    labelled = Labelled(rows, ours * MICROS, theirs * MICROS)
    evidence = replace(traffic(), labelled=labelled)
    found = verdict(evidence, limits=ASKED)
    assert found.outcome is outcome
    assert found.metric == (LABELLED_ERROR if outcome is Outcome.FAIL else "")
    assert verdict(evidence).outcome is Outcome.PASS  # nobody asked for labels


@pytest.mark.parametrize("rows", [0, 29, 30, 1000])
def test_labels_never_hide_another_failure(rows):
    evidence = replace(traffic(wrong=0.9), labelled=Labelled(rows, 0, 0))
    assert verdict(evidence, limits=ASKED).metric == DISAGREEMENT


def test_labels_can_fail_a_challenger_before_there_is_traffic_enough():
    evidence = replace(traffic(windows=1, pairs=5), labelled=Labelled(50, 0, 50 * MICROS))
    assert verdict(evidence, limits=ASKED).metric == LABELLED_ERROR


def test_nodes_labels_are_judged_together():
    half = replace(traffic(pairs=20), labelled=Labelled(15, 0, MICROS))
    assert verdict(half, limits=ASKED).outcome is Outcome.INCONCLUSIVE
    found = verdict(combine([half, half]), limits=ASKED)
    assert (found.metric, found.observed) == (LABELLED_ERROR, 2 / 30)
