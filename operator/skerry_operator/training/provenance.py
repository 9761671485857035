"""Where a file of training rows is from: written into it by a build, and read again when a model is packaged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from skerry_core import digest as digests
from skerry_core.bundle.training import TrainingRows
from skerry_core.errors import UserMustActError

_SET, _FEATURES = "skerry.feature_set", "skerry.features"
_HISTORY, _CONSENT = "skerry.history", "skerry.consent"


@dataclass(frozen=True)
class Provenance:
    """What a build says of its rows: the set's version by name and digest, how far the history went, whose consent.

    `history` has `logs`, each with when its newest event was `received` (µs since 1970), of the rows' nodes.
    """

    feature_set: Mapping[str, str]
    features: Sequence[str]
    history: Mapping[str, Any]
    consent: Sequence[str] | None

    def metadata(self) -> dict[str, str]:
        """As texts by name, the same for the same build."""
        values = {_SET: self.feature_set, _FEATURES: self.features, _HISTORY: self.history, _CONSENT: self.consent}
        return {name: json.dumps(value, sort_keys=True) for name, value in values.items()}


def rows_of(path: Path) -> TrainingRows:
    """What the manifest of a model trained on a file says of it.

    UserMustActError TrainingRowsInvalid for a file that `skerry features build` didn't write; OSError.
    """
    digest = digests.of_file(path)
    try:
        with pq.ParquetFile(path) as file:
            count, found = file.metadata.num_rows, file.schema_arrow.metadata or {}
        told = {name: json.loads(found[name.encode()]) for name in (_SET, _FEATURES, _HISTORY, _CONSENT)}
        received = [log["received"] for log in told[_HISTORY]["logs"]]
        newest = max((each for each in received if each), default=None)
        return TrainingRows.model_validate(
            {
                "digest": digest,
                "rows": count,
                "featureSet": told[_SET],
                "features": told[_FEATURES],
                "until": None if newest is None else datetime.fromtimestamp(newest // 10**6, UTC),
                "consent": told[_CONSENT],
            }
        )
    except (pa.ArrowInvalid, ValueError, KeyError, TypeError, OverflowError, RecursionError, ValidationError) as error:
        raise UserMustActError(
            "TrainingRowsInvalid", f"{path} is no file of rows that `skerry features build` wrote: {error}"
        ) from error
