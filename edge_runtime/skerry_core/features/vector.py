"""A reading as a row of a model's input."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skerry_core.errors import UserMustActError
from skerry_core.features.columns import Floats
from skerry_core.features.definition import OnStale
from skerry_core.features.plan import Plan
from skerry_core.features.read import FeatureStatus, Reading


@dataclass(frozen=True)
class Vector:
    """`values` is float64, one for each column. `defaulted` and `rejected` name the features that are stale.

    A rejected one's columns hold its default, or NaN if it has none: for who may go on with the defaults. `recompute`
    names those of both that are to be read once more when all that is in the log has been applied.
    """

    values: Floats
    defaulted: tuple[str, ...]
    rejected: tuple[str, ...]
    recompute: tuple[str, ...] = ()


def vector(plan: Plan, reading: Reading, names: Sequence[str]) -> Vector:
    """Columns in the order of `names`; a feature with several values takes as many columns.

    A stale feature of OnStale.DEFAULT or RECOMPUTE takes its default. Otherwise, and without a default, it is rejected.
    UserMustActError FeatureUnknown for a name that isn't in the set.
    """
    values = {value.name: value for value in reading.values}
    row: list[float] = []
    defaulted: list[str] = []
    rejected: list[str] = []
    recompute: list[str] = []
    for name in names:
        feature = plan.by_name.get(name)
        if feature is None:
            raise UserMustActError("FeatureUnknown", f"{plan.document.name} {plan.document.version} has no {name}")
        found = values[name]
        if found.status is FeatureStatus.PRESENT and found.value is not None:
            row.extend(found.value if isinstance(found.value, tuple) else (found.value,))
            continue
        default = feature.feature.default
        reject = feature.feature.on_stale is OnStale.REJECT or default is None
        if feature.feature.on_stale is OnStale.RECOMPUTE:
            recompute.append(name)
        (rejected if reject else defaulted).append(name)
        row.extend([float("nan") if default is None else default] * feature.width)
    return Vector(np.array(row, dtype=np.float64), tuple(defaulted), tuple(rejected), tuple(recompute))


def width(plan: Plan, names: Sequence[str]) -> int:
    """How many columns these features take. KeyError for one that isn't in the set."""
    return sum(plan.by_name[name].width for name in names)
