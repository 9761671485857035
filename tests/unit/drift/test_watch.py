"""N of M windows: when a column begins to drift, when it ceases, and what a clock can do to it."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.drift.limits import DriftLimits
from skerry_core.drift.sketch import sketch
from skerry_core.drift.watch import Watch, add, begin, step
from tests.unit.drift.fields import baseline, columns

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAMES = ("normal", "binary")
BASELINE = baseline(np.random.default_rng(0), 2000, *NAMES)
SCALES = [column.scale for column in BASELINE.columns]
LIMITS = DriftLimits(windows=4, failure_limit=3)
CALM, SHIFTED = (sketch(SCALES, columns(np.random.default_rng(1), 400, *NAMES, shift=shift)) for shift in (0.0, 1.0))


def windows(story, limits=LIMITS):
    """The watch after each window of a story: 1 is a shifted one, 0 a calm one."""
    watch, now = begin("sha256:a", BASELINE, NOW), NOW
    for shifted in story:
        now += limits.interval
        watch = step(add(watch, BASELINE, SHIFTED if shifted else CALM), BASELINE, limits, now)
        yield watch


@pytest.mark.parametrize(
    ("story", "drifting"),
    [
        ((1,), (0,)),
        ((1, 1, 1), (0, 0, 1)),
        ((1, 0, 1, 1), (0, 0, 0, 1)),
        ((1, 0, 0, 1, 1), (0, 0, 0, 0, 0)),
        ((1, 1, 1, 0, 0, 0), (0, 0, 1, 1, 1, 0)),
        ((1, 1, 1, 0, 0, 1, 0, 0), (0, 0, 1, 1, 1, 1, 0, 0)),
    ],
)
def test_three_of_four(story, drifting):
    assert [bool(watch.drifting) for watch in windows(story)] == [bool(each) for each in drifting]


@pytest.mark.parametrize("windows_, failures", [(1, 1), (4, 1), (4, 4), (6, 2)])  # noqa: PT006
def test_all_shifted_drifts_and_all_calm_ceases(windows_, failures):
    limits = DriftLimits(windows=windows_, failure_limit=failures)
    seen = list(windows([1] * windows_ + [0] * windows_, limits))
    assert seen[failures - 1].drifting == NAMES
    assert seen[-1].drifting == ()
    assert seen[-1].judged == 2 * windows_


def test_since_is_when_the_set_changed():
    seen = list(windows((1, 1, 1, 1, 0, 0, 0)))
    began = NOW + 3 * LIMITS.interval
    assert [watch.since for watch in seen[2:5]] == [began] * 3
    assert seen[-1].since == NOW + 7 * LIMITS.interval


def test_a_window_waits_for_its_time_and_its_rows():
    watch = add(begin("sha256:a", BASELINE, NOW), BASELINE, SHIFTED)
    early, late = NOW + LIMITS.interval - timedelta(seconds=1), NOW + timedelta(days=3)
    assert step(watch, BASELINE, LIMITS, early) is watch
    thin = LIMITS.model_copy(update={"min_samples": 401})
    assert step(watch, BASELINE, thin, late) is watch
    assert step(add(watch, BASELINE, SHIFTED), BASELINE, thin, late).judged == 1


def test_a_clock_set_back_begins_the_time_anew_and_loses_no_row():
    watch = add(begin("sha256:a", BASELINE, NOW), BASELINE, CALM)
    back = step(watch, BASELINE, LIMITS, NOW - timedelta(days=900))
    assert back.sketches == watch.sketches
    assert step(back, BASELINE, LIMITS, back.began + LIMITS.interval).judged == 1


def test_a_column_that_is_ignored_from_now_on_ceases_to_drift():
    *_, watch = windows((1, 1, 1))
    limits = LIMITS.model_copy(update={"ignored_columns": ("normal",)})
    after = step(add(watch, BASELINE, SHIFTED), BASELINE, limits, watch.began + LIMITS.interval)
    assert after.drifting == ("binary",)


@settings(max_examples=40, deadline=None)
@given(story=st.lists(st.booleans(), max_size=12), cut=st.integers(0, 12))
def test_a_restart_changes_nothing(story, cut):
    """What was written to disk and read again goes on as if nothing had happened."""
    watch, now = begin("sha256:a", BASELINE, NOW), NOW
    for number, shifted in enumerate(story):
        if number == cut:
            watch = msgspec.json.decode(msgspec.json.encode(watch), type=Watch)
        now += LIMITS.interval
        watch = step(add(watch, BASELINE, SHIFTED if shifted else CALM), BASELINE, LIMITS, now)
    assert watch == ([begin("sha256:a", BASELINE, NOW), *windows(story)])[-1]


@settings(max_examples=40, deadline=None)
@given(story=st.lists(st.booleans(), min_size=1, max_size=20))
def test_fewer_than_the_limit_never_drift(story):
    for number, watch in enumerate(windows(story)):
        if sum(story[: number + 1]) < LIMITS.failure_limit:
            assert not watch.drifting
