"""What sets a model's bad answers apart: stale features, a release, a round of training, a damaged node. Pure.

Each candidate splits all answers in those that were exposed to it and the others. It counts if at least MIN_BAD of the
exposed are bad and their risk is at least MIN_RATIO times that of the others, taken from the lower limit of the one to
the upper limit of the other: Wilson's score limits ("Probable inference, the law of succession, and statistical
inference", JASA 22, 1927) of 99.9 %, since many candidates are asked at once. Answers of one fleet aren't independent,
so limits are narrower than they should be: a cause is likely, not proven.

Of those that count, the one is named that explains most bad answers: those among the exposed beyond what the others'
rate would give. Of candidates that explain nearly as many, the one whose exposed run the highest risk is named, and the
rest are listed with it; they can't be told apart for sure. Where stale features are the cause, what made them stale is
looked for in the same way, and named instead if at least MIN_SHARE of the stale answers were exposed to it. Then the
answers that were not exposed are asked anew.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

MIN_BAD = 10
MIN_RATIO = 2.0
MIN_SHARE = 0.8
MAX_CAUSES = 3
_Z = 3.2905  # of 99.9 %, both sides
# Candidates that explain this share of what the best one does can't be told apart from it.
_ALIKE = 0.9


class Cause(StrEnum):
    """What may be the matter; of two that run the same risk, the first is named."""

    CORRUPT_CACHE = "CorruptCache"
    ROLLOUT = "Rollout"
    TRAINING_ROUND = "TrainingRound"
    FEATURE_SET = "FeatureSetVersion"
    STALE_FEATURES = "StaleFeatures"
    NODE = "Node"


# What can make features stale.
_SOURCES = frozenset({Cause.CORRUPT_CACHE, Cause.ROLLOUT, Cause.FEATURE_SET})


@dataclass(frozen=True, slots=True)
class Cell:
    """Answers that are alike: by `release` (of a canary's requests, the challenger's), on `node` (`site/node`).

    `sets` are the feature sets' versions that filled the inputs, `stale` whether a feature gave its default, `damaged`
    whether the node had told of damage to its store, logs or feature store by then. `round` is the one of training that
    the release came of, empty if its manifest names none.
    """

    release: str
    node: str
    sets: str
    stale: bool
    damaged: bool
    answers: int
    bad: int
    round: str = ""


class Suspect(msgspec.Struct, frozen=True, rename="camel"):
    """A candidate with its evidence: bad answers and answers of the exposed and of the others, and the risk ratio.

    `high` is None where the others' risk may be none. `explained` is in answers.
    """

    cause: Cause
    subject: str
    exposed_bad: int
    exposed: int
    other_bad: int
    others: int
    ratio: float
    low: float
    high: float | None
    explained: float


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """A likely cause, and the candidates that can't be told apart from it. `through` is what it brought about."""

    likely: Suspect
    alike: tuple[Suspect, ...]
    through: Suspect | None = None


class Verdict(msgspec.Struct, frozen=True, rename="camel"):
    """All findings, the weightiest first; `reason` says why there is none, or what is left."""

    answers: int
    bad: int
    findings: tuple[Finding, ...]
    reason: str


def judge_causes(cells: Sequence[Cell]) -> Verdict:
    """Find what sets bad answers apart."""
    answers, bad = _sums(cells)
    findings: list[Finding] = []
    left = list(cells)
    while len(findings) < MAX_CAUSES:
        found = _finding(left)
        if found is None:
            break
        findings.append(found)
        for suspect in filter(None, (found.likely, found.through)):
            exposure = _exposure(suspect.cause, suspect.subject)
            left = [cell for cell in left if not exposure(cell)]
    rest = _sums(left)[1]
    if bad < MIN_BAD:
        reason = f"{bad} of {answers} answers are bad: too few to tell, {MIN_BAD} are needed"
    elif not findings:
        reason = f"{bad} of {answers} answers are bad, and nothing that is recorded sets them apart"
    else:
        reason = f"{rest} of {bad} bad answers are left without a cause" if rest else ""
    return Verdict(answers, bad, tuple(findings), reason)


def suspects(cells: Sequence[Cell]) -> Iterator[Suspect]:
    """Every candidate of which there are exposed answers and others."""
    answers, bad = _sums(cells)
    for cause, subject in _candidates(cells):
        exposure = _exposure(cause, subject)
        exposed, exposed_bad = _sums([cell for cell in cells if exposure(cell)])
        others, other_bad = answers - exposed, bad - exposed_bad
        if not exposed or not others:
            continue
        ratio, low, high = risk_ratio(exposed_bad, exposed, other_bad, others)
        explained = exposed_bad - exposed * other_bad / others
        yield Suspect(cause, subject, exposed_bad, exposed, other_bad, others, ratio, low, high, explained)


def risk_ratio(exposed_bad: int, exposed: int, other_bad: int, others: int) -> tuple[float, float, float | None]:
    """The ratio of two risks (half an answer added to each count) with its limits. Both groups have a member."""
    ratio = (exposed_bad + 0.5) / (exposed + 1) / ((other_bad + 0.5) / (others + 1))
    least, most = _limits(exposed_bad, exposed)
    other_least, other_most = _limits(other_bad, others)
    return ratio, least / other_most, most / other_least if other_least else None


def _limits(bad: int, answers: int) -> tuple[float, float]:
    """Wilson's score interval of a share."""
    share, square = bad / answers, _Z * _Z / answers
    middle = share + square / 2
    spread = math.sqrt(square * (share * (1 - share) + square / 4))
    return max(middle - spread, 0.0) / (1 + square) if bad else 0.0, (middle + spread) / (1 + square)


def _finding(cells: Sequence[Cell]) -> Finding | None:
    counting = _counting(cells)
    most = max((each.explained for each in counting), default=0.0)
    if most <= 0:
        return None
    alike = [each for each in counting if each.explained >= _ALIKE * most]
    likely = _riskiest(alike)
    source = _source(cells) if likely.cause is Cause.STALE_FEATURES else None
    through = None if source is None else likely
    if source is not None:
        likely = next(each for each in suspects(cells) if (each.cause, each.subject) == source)
    rest = (each for each in alike if (each.cause, each.subject) != (likely.cause, likely.subject) and each != through)
    return Finding(likely, tuple(rest), through)


def _source(cells: Sequence[Cell]) -> tuple[Cause, str] | None:
    """What made features stale; None if that isn't recorded."""
    stale = [replace(cell, bad=cell.answers if cell.stale else 0) for cell in cells]
    share = MIN_SHARE * _sums(stale)[1]
    found = [each for each in _counting(stale) if each.cause in _SOURCES and each.exposed_bad >= share]
    if not found:
        return None
    source = _riskiest(found)
    return source.cause, source.subject


def _counting(cells: Sequence[Cell]) -> list[Suspect]:
    return [each for each in suspects(cells) if each.exposed_bad >= MIN_BAD and each.low >= MIN_RATIO]


def _riskiest(suspects: Sequence[Suspect]) -> Suspect:
    order = list(Cause)
    return min(suspects, key=lambda each: (-each.ratio, order.index(each.cause), each.subject))


def _candidates(cells: Sequence[Cell]) -> Iterator[tuple[Cause, str]]:
    for node in sorted({cell.node for cell in cells if cell.damaged}):
        yield Cause.CORRUPT_CACHE, node
    for release in sorted({cell.release for cell in cells}):
        yield Cause.ROLLOUT, release
    for name in sorted({cell.round for cell in cells if cell.round}):
        yield Cause.TRAINING_ROUND, name
    for sets in sorted({cell.sets for cell in cells if cell.sets}):
        yield Cause.FEATURE_SET, sets
    if any(cell.stale for cell in cells):
        yield Cause.STALE_FEATURES, ""
    for node in sorted({cell.node for cell in cells}):
        yield Cause.NODE, node


def _exposure(cause: Cause, subject: str) -> Callable[[Cell], bool]:
    match cause:
        case Cause.CORRUPT_CACHE:
            return lambda cell: cell.damaged and cell.node == subject
        case Cause.ROLLOUT:
            return lambda cell: cell.release == subject
        case Cause.TRAINING_ROUND:
            return lambda cell: cell.round == subject
        case Cause.FEATURE_SET:
            return lambda cell: cell.sets == subject
        case Cause.STALE_FEATURES:
            return lambda cell: cell.stale
        case Cause.NODE:
            return lambda cell: cell.node == subject


def _sums(cells: Sequence[Cell]) -> tuple[int, int]:
    return sum(cell.answers for cell in cells), sum(cell.bad for cell in cells)
