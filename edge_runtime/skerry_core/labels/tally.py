"""How accurate models were, summed over the predictions that labels tell of."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from skerry_core.evidence.window import Labelled
from skerry_core.labels.feedback import Feedback
from skerry_core.labels.standing import Predicted, Standing, Terms, counts, error, standing

CHAMPION = "champion"


@dataclass(frozen=True, order=True, slots=True)
class Side:
    """A release in one part: whose answer it was, or who ran beside it."""

    namespace: str
    model: str
    digest: str
    variant: str


@dataclass(frozen=True, slots=True)
class Sum:
    """Rows that labels tell of, and how wrong they were, in millionths."""

    rows: int = 0
    error: int = 0

    def plus(self, rows: int, wrong: int) -> "Sum":
        return Sum(self.rows + rows, self.error + wrong)


@dataclass(frozen=True)
class Tally:
    """What labels tell: `sides` of each release, `pairs` (champion, challenger) on the same requests."""

    standings: Mapping[Standing, int] = field(default_factory=Counter)
    sides: Mapping[Side, Sum] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str], Labelled] = field(default_factory=dict)

    def labelled(self, champion: str, challenger: str) -> Labelled:
        """What labels say of two releases on the requests that both ran."""
        return self.pairs.get((champion, challenger), Labelled())


def tally(
    joined: Iterable[tuple[Feedback, Predicted | None]], terms: Callable[[str, str], Terms] = lambda *_: Terms()
) -> Tally:
    """Sum up predictions and what labels say of them; `terms` are those of the model (namespace, name)."""
    standings: Counter[Standing] = Counter()
    sides: defaultdict[Side, Sum] = defaultdict(Sum)
    pairs: defaultdict[tuple[str, str], Labelled] = defaultdict(Labelled)
    for feedback, predicted in joined:
        asked = terms(predicted.namespace, predicted.model) if predicted is not None else Terms()
        found = standing(feedback, predicted, asked)
        standings[found] += 1
        truth = feedback.truth
        if predicted is None or predicted.decided is None or truth is None or not counts(found):
            continue
        rows, theirs = len(truth), error(asked.error, truth, predicted.decided)
        side = Side(predicted.namespace, predicted.model, predicted.digest, predicted.variant)
        sides[side] = sides[side].plus(rows, theirs)
        if predicted.champion_decided is None or len(predicted.champion_decided) != rows:
            continue
        ours = error(asked.error, truth, predicted.champion_decided)
        side = Side(predicted.namespace, predicted.model, predicted.champion, CHAMPION)
        sides[side] = sides[side].plus(rows, ours)
        pair = predicted.champion, predicted.digest
        pairs[pair] = pairs[pair].plus(Labelled(rows, ours, theirs))
    return Tally(standings, dict(sides), dict(pairs))
