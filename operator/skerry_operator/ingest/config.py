"""What the chart tells ingest, by environment and mounted files; read once, but for the store's keys."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from skerry_api.v1alpha1.fields import parse_duration
from skerry_core.errors import UserMustActError
from skerry_operator.ingest.gaps import Patience
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.plan import Budget
from skerry_operator.ingest.upkeep import Retention
from skerry_operator.store_settings import needed, store_access

_DAY = timedelta(days=1)
_BUDGET, _PATIENCE, _RETENTION = Budget(), Patience(), Retention()


@dataclass(frozen=True)
class IngestConfig:
    """Where the batches and the tables are, and how long what is kept.

    `keep_batches` is how long a batch stays in the store after it was ingested; `keep_versions` how long the files of
    older versions of a table do. `scheduler` is a Dask scheduler's address, empty for one machine's work.
    """

    lake: Lake
    poll: timedelta = timedelta(seconds=5)
    budget: Budget = _BUDGET
    patience: Patience = _PATIENCE
    keep_batches: timedelta = _DAY
    keep_versions: timedelta = _DAY
    retention: Retention = _RETENTION
    scheduler: str = ""
    port: int = 8080

    @property
    def log_retention(self) -> timedelta:
        """How long tables keep their commits: for longer than anybody looks back."""
        return 2 * max(self.keep_batches, self.keep_versions, _DAY)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read it all; UserMustActError names what is missing or can't be used."""
        uri = needed(environment, "SKERRY_STORE_URI")
        return cls(
            lake=Lake(uri, store_access(environment, uri)),
            poll=_duration(environment, "SKERRY_POLL_INTERVAL", cls.poll),
            patience=Patience(
                ask=_duration(environment, "SKERRY_ASK_AFTER", _PATIENCE.ask),
                lose=_duration(environment, "SKERRY_LOST_AFTER", _PATIENCE.lose),
            ),
            keep_batches=_duration(environment, "SKERRY_KEEP_BATCHES", cls.keep_batches),
            keep_versions=_duration(environment, "SKERRY_KEEP_VERSIONS", cls.keep_versions),
            retention=_retention(environment.get("SKERRY_RETENTION_DAYS", "")),
            scheduler=environment.get("SKERRY_DASK_SCHEDULER", ""),
            port=int(_number(environment.get("SKERRY_HEALTH_PORT", "8080"), "SKERRY_HEALTH_PORT")),
        )


def _duration(environment: Mapping[str, str], name: str, default: timedelta) -> timedelta:
    text = environment.get(name, "")
    if not text:
        return default
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UserMustActError("SettingInvalid", f"{name} is {text!r}: give a duration such as 24h or 90s") from error


def _retention(text: str) -> Retention:
    """A JSON object of days by stream, `*` for all others: `{"*": 365, "telemetry": 30}`."""
    try:
        days: dict[str, object] = dict(json.loads(text or "{}"))
        spans = {
            stream: timedelta(days=_number(each, f"SKERRY_RETENTION_DAYS of {stream}")) for stream, each in days.items()
        }
    except (TypeError, ValueError, OverflowError) as error:
        example = '{"*": 365, "telemetry": 30}'
        raise UserMustActError(
            "SettingInvalid", f"SKERRY_RETENTION_DAYS is {text!r}: give days, as {example}"
        ) from error
    return Retention(spans.pop("*", None), tuple(sorted(spans.items())))


def _number(value: object, name: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = 0
    if not number > 0:
        raise UserMustActError("SettingInvalid", f"{name} is {value!r}: give a number above 0")
    return number
