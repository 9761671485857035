"""A prediction and what labels say of it: whether that counts, how late it came, and how wrong the models were."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from skerry_api.v1alpha1.model import LabelError
from skerry_core.evidence.window import MICROS
from skerry_core.labels.feedback import Feedback, Values
from skerry_core.micros import micros_in

# A device's clock may be behind by this much: a truth that was known a little before its prediction is a clock's.
TOLERANCE_US = 60 * MICROS
# What one row's absolute error counts at most, in millionths: sums stay far below 64 bits.
MAX_ERROR = MICROS * MICROS
MAX_AGE = timedelta(days=30)


class Standing(StrEnum):
    """What becomes of a prediction's labels: training may use ELIGIBLE ones, each other word says why it may not."""

    ELIGIBLE = "Eligible"
    UNKNOWN_PREDICTION = "UnknownPrediction"
    CONFLICT = "Conflict"
    LOW_AUTHORITY = "LowAuthority"
    NOT_COMPARABLE = "NotComparable"
    NO_CONSENT = "NoConsent"
    AGE_UNKNOWN = "AgeUnknown"
    TOO_OLD = "TooOld"


# Training asks for more than accuracy: consent, and that the label is not too old.
_TRUE = frozenset({Standing.ELIGIBLE, Standing.NO_CONSENT, Standing.AGE_UNKNOWN, Standing.TOO_OLD})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a Model asks of labels; see `LabelLimits`."""

    error: LabelError = LabelError.MISMATCH
    max_age: timedelta = MAX_AGE
    min_authority: int = 0


@dataclass(frozen=True, slots=True)
class Predicted:
    """A prediction as the log has it: `at` is when it went out (µs since 1970), None if the clock was wrong then.

    `decided` is what the model whose answer went out decided, row by row; None if that can't be held against labels.
    Where both ran, `champion` is the other's digest and `champion_decided` its decision.
    """

    at: int | None
    namespace: str
    model: str
    digest: str
    variant: str
    decided: Values | None
    champion: str = ""
    champion_decided: Values | None = None


def age(feedback: Feedback, predicted: Predicted) -> int | None:
    """How long after the prediction the truth was known, in µs; None if no clock can tell."""
    if feedback.said is None or predicted.at is None:
        return None
    lapse = feedback.said - predicted.at
    return max(lapse, 0) if lapse >= -TOLERANCE_US else None


def standing(feedback: Feedback, predicted: Predicted | None, terms: Terms) -> Standing:  # noqa: PLR0911 - one a reason
    """The first reason why training may not use it, or that it may."""
    if predicted is None:
        return Standing.UNKNOWN_PREDICTION
    truth = feedback.truth
    if truth is None:
        return Standing.CONFLICT
    if feedback.authority < terms.min_authority:
        return Standing.LOW_AUTHORITY
    if predicted.decided is None or len(predicted.decided) != len(truth):
        return Standing.NOT_COMPARABLE
    if not feedback.training:
        return Standing.NO_CONSENT
    lapse = age(feedback, predicted)
    if lapse is None:
        return Standing.AGE_UNKNOWN
    if lapse > micros_in(terms.max_age):
        return Standing.TOO_OLD
    return Standing.ELIGIBLE


def counts(found: Standing) -> bool:
    """Whether it tells how accurate a model was."""
    return found in _TRUE


def error(kind: LabelError, truth: Values, decided: Iterable[float]) -> int:
    """How wrong a decision was, in millionths, summed over its rows.

    A row's error is 1 if it differs (MISMATCH), or its distance (ABSOLUTE), a million at most. Both have as many rows.
    """
    if kind is LabelError.MISMATCH:
        return MICROS * sum(said != found for said, found in zip(truth, decided, strict=True))
    return sum(
        min(round(min(abs(said - found), float(MICROS)) * MICROS), MAX_ERROR)
        for said, found in zip(truth, decided, strict=True)
    )
