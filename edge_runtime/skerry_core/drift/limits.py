"""By what a node calls a column drifting; a Model's `spec.drift` with every default resolved."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.drift import MAX_IGNORED, ColumnName
from skerry_api.v1alpha1.fields import ApiModel, Duration


class DriftLimits(ApiModel):
    """A window lasts `interval` and longer if it has fewer than `min_samples` rows by then.

    A column drifts when it was outside in `failure_limit` of the last `windows` windows, and until it was in no more
    than `windows - failure_limit` (and fewer than `failure_limit`) of them. It is outside when its index is above
    `max_psi` and above what chance gives.
    """

    interval: Duration = timedelta(minutes=10)
    windows: Annotated[int, Field(ge=1, le=100)] = 6
    failure_limit: Annotated[int, Field(ge=1, le=100)] = 3
    min_samples: Annotated[int, Field(ge=1)] = 300
    max_psi: Annotated[float, Field(gt=0)] = 0.2
    ignored_columns: Annotated[tuple[ColumnName, ...], Field(max_length=MAX_IGNORED)] = ()
