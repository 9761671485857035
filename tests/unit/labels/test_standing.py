"""Whether labels count, for accuracy and for training, and how wrong the models were."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.model import LabelError
from skerry_core.evidence.window import Labelled
from skerry_core.labels.feedback import label, merged
from skerry_core.labels.standing import MICROS, TOLERANCE_US, Predicted, Standing, Terms, age, counts, error, standing
from skerry_core.labels.tally import Side, Sum, tally

HOUR = 3600 * MICROS
AT = 1_000 * HOUR
PREDICTED = Predicted(AT, "ns", "har", "sha256:b", "champion", (3.0,))
TERMS = Terms(max_age=timedelta(hours=10))


@pytest.mark.parametrize(
    ("feedback", "predicted", "terms", "found"),
    [
        (label([3], AT + HOUR), PREDICTED, TERMS, Standing.ELIGIBLE),
        (label([4], AT + HOUR), PREDICTED, TERMS, Standing.ELIGIBLE),
        (label([3], AT + HOUR), None, TERMS, Standing.UNKNOWN_PREDICTION),
        (merged(label([3], AT), label([4], AT)), PREDICTED, TERMS, Standing.CONFLICT),
        (label([3], AT, 1), PREDICTED, replace(TERMS, min_authority=2), Standing.LOW_AUTHORITY),
        (label([3], AT, 2), PREDICTED, replace(TERMS, min_authority=2), Standing.ELIGIBLE),
        (label([3, 3], AT), PREDICTED, TERMS, Standing.NOT_COMPARABLE),
        (label([3], AT), replace(PREDICTED, decided=None), TERMS, Standing.NOT_COMPARABLE),
        (label([3], AT, training=False), PREDICTED, TERMS, Standing.NO_CONSENT),
        (label([3], None), PREDICTED, TERMS, Standing.AGE_UNKNOWN),
        (label([3], AT), replace(PREDICTED, at=None), TERMS, Standing.AGE_UNKNOWN),
        (label([3], AT - TOLERANCE_US - 1), PREDICTED, TERMS, Standing.AGE_UNKNOWN),
        (label([3], AT - TOLERANCE_US), PREDICTED, TERMS, Standing.ELIGIBLE),
        (label([3], AT + 10 * HOUR), PREDICTED, TERMS, Standing.ELIGIBLE),
        (label([3], AT + 10 * HOUR + 1), PREDICTED, TERMS, Standing.TOO_OLD),
    ],
)
def test_standing(feedback, predicted, terms, found):
    assert standing(feedback, predicted, terms) is found


@pytest.mark.parametrize("found", Standing)
def test_consent_and_age_are_training_s_concern_only(found):
    of_training = {Standing.NO_CONSENT, Standing.AGE_UNKNOWN, Standing.TOO_OLD}
    assert counts(found) is (found is Standing.ELIGIBLE or found in of_training)


@given(st.integers(-(10**15), 10**15))
def test_an_age_is_never_negative(lapse):
    found = age(label([3], AT + lapse), PREDICTED)
    assert found is None if lapse < -TOLERANCE_US else found == max(lapse, 0)


@pytest.mark.parametrize(
    ("kind", "truth", "decided", "wrong"),
    [
        (LabelError.MISMATCH, (3.0,), (3.0,), 0),
        (LabelError.MISMATCH, (3.0, 4.0, 5.0), (3.0, 3.0, 3.0), 2 * MICROS),
        (LabelError.ABSOLUTE, (1.5,), (1.25,), MICROS // 4),
        (LabelError.ABSOLUTE, (1.5, -1.0), (1.25, 1.0), 2 * MICROS + MICROS // 4),
        (LabelError.ABSOLUTE, (1e308,), (-1e308,), MICROS * MICROS),
    ],
)
def test_error(kind, truth, decided, wrong):
    assert error(kind, truth, decided) == wrong


PAIRED = replace(PREDICTED, variant="challenger", champion="sha256:a", champion_decided=(1.0,))


def test_both_sides_of_a_pair_are_held_against_the_same_label():
    found = tally([(label([1], AT), PAIRED), (label([3], AT), PAIRED), (label([1], AT), PREDICTED)])
    assert found.labelled("sha256:a", "sha256:b") == Labelled(2, MICROS, MICROS)
    assert found.labelled("sha256:b", "sha256:a") == Labelled()
    assert found.sides == {
        Side("ns", "har", "sha256:b", "challenger"): Sum(2, MICROS),
        Side("ns", "har", "sha256:a", "champion"): Sum(2, MICROS),
        Side("ns", "har", "sha256:b", "champion"): Sum(1, MICROS),
    }
    assert found.standings == {Standing.ELIGIBLE: 3}


def test_a_conflict_counts_for_nobody():
    found = tally([(merged(label([1], AT), label([3], AT)), PAIRED), (label([1], AT), None)])
    assert found.sides == found.pairs == {}
    assert found.standings == {Standing.CONFLICT: 1, Standing.UNKNOWN_PREDICTION: 1}


def test_each_model_has_its_own_terms():
    terms = {("ns", "har"): Terms(error=LabelError.ABSOLUTE)}
    found = tally([(label([1], AT), PAIRED)], lambda *model: terms.get(model, Terms()))
    assert found.labelled("sha256:a", "sha256:b") == Labelled(1, 0, 2 * MICROS)
