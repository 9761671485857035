"""What a model was trained on, as its signed manifest says: the round, and the files of training rows by digest. Pure.

A round is one run of training. What it was fed with is in every release that came of it, so a fleet's answers can be
told apart by it.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, Timestamp
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import MAX_FEATURES, FeatureInput, FeatureName, FeatureSetRef

MAX_FILES = 16
MAX_CLASSES = 64

RoundId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$")]


class TrainingRound(ApiModel):
    """A run of training: its id, the same in all releases that came of it, and when it was."""

    id: RoundId
    at: Timestamp


class TrainingRows(ApiModel):
    """A file that `skerry features build` wrote, by its bytes.

    `until` is when the newest event was received that its history held; absent if it held none. `consent` are the data
    classes that had to be granted; absent if nobody's consent was needed.
    """

    digest: Digest
    rows: Annotated[int, Field(ge=0)]
    feature_set: FeatureSetRef
    features: Annotated[tuple[FeatureName, ...], Field(min_length=1, max_length=MAX_FEATURES)]
    until: Timestamp | None = None
    consent: Annotated[tuple[Name, ...], Field(max_length=MAX_CLASSES)] | None = None


class Training(ApiModel):
    """Where a release comes from. `data` is empty if it was trained on something that isn't of our making."""

    round: TrainingRound
    data: Annotated[tuple[TrainingRows, ...], Field(max_length=MAX_FILES)] = ()


def check_training(training: Training, bound: Sequence[FeatureInput]) -> None:
    """Refuse a release that nodes would serve other features than it was trained on.

    UserMustActError TrainingRowsDiffer: rows of a bound set are of another version, or lack a feature that is bound.
    """
    for binding in bound:
        wanted = binding.feature_set
        named = f"{wanted.namespace}/{wanted.name}"
        for rows in training.data:
            held = rows.feature_set
            if (held.namespace, held.name) != (wanted.namespace, wanted.name):
                continue
            if held.digest != wanted.digest:
                raise _differ(
                    f"the training rows {rows.digest} are of {named} {held.version} ({held.digest}), and input "
                    f"{binding.input} is filled from {wanted.version} ({wanted.digest})"
                )
            if lacking := [name for name in binding.features if name not in rows.features]:
                raise _differ(
                    f"the training rows {rows.digest} lack features of {named} that fill input {binding.input}: "
                    f"{', '.join(lacking)}"
                )


def _differ(problem: str) -> UserMustActError:
    return UserMustActError("TrainingRowsDiffer", problem)
