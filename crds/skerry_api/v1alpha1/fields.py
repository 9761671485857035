"""Field types that several kinds share: one spelling of a digest, a duration, a name."""

import math
import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from skerry_api.v1alpha1.cel import Rule, rules

GROUP = "skerry.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

MESSAGE_LENGTH = 1024
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SEMVER_PATTERN = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$"
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(DURATION_PATTERN[1:-1])  # fullmatch: `$` would let a line break pass
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")


def parse_duration(text: str) -> timedelta:
    """Read a Go duration (`1h30m`, `250ms`) of hours and smaller; ValueError for anything else."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 1h30m")
    try:
        return timedelta(seconds=sum(float(n) * _UNIT_SECONDS[unit] for n, unit in _PART.findall(text)))
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long for a duration") from error


def format_duration(value: timedelta) -> str:
    """Write a duration as Go would read it, rounded to 1 ms; ValueError for a negative one, which no field takes."""
    if value < timedelta():
        raise ValueError(f"{value!r} is negative")
    milliseconds = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _finite(value: object) -> object:
    """Drop NaN and infinities: JSON has neither, and a null would make the API server refuse the whole status."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Digest = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN, max_length=71)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=63)]
SemVer = Annotated[str, StringConstraints(pattern=SEMVER_PATTERN, max_length=64)]
Message = Annotated[str, StringConstraints(max_length=MESSAGE_LENGTH)]
Fraction = Annotated[float, Field(ge=0, le=1)]
ObjectName = Annotated[str, StringConstraints(max_length=253)]
Timestamp = AwareDatetime
Measured = Annotated[float | None, BeforeValidator(_finite)]
"""A measured number; absent when it came out as NaN or infinite."""

_DURATION_SCHEMA: JsonDict = {"type": "string", "pattern": DURATION_PATTERN, "maxLength": 32}
_DURATION_TYPE = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(format_duration)]
_POSITIVE = Rule("duration(self) > duration('0s')", "must be longer than 0s")
Duration = Annotated[_DURATION_TYPE, WithJsonSchema(_DURATION_SCHEMA)]
PositiveDuration = Annotated[_DURATION_TYPE, WithJsonSchema(_DURATION_SCHEMA | rules(_POSITIVE))]


def map_by(key: str) -> JsonDict:
    """Schema keywords of a list whose items differ in `key`, so that two owners can each apply their items."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


class ApiModel(BaseModel):
    """Base of every object on the wire: camelCase outside, frozen inside.

    Unknown fields are ignored, since hub and sites may be some versions apart. A string below a field is its
    description, which `kubectl explain` shows.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    def to_wire(self) -> dict[str, object]:
        """The JSON object that Kubernetes stores: camelCase, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(ApiModel):
    """The part of Kubernetes' object metadata that decisions read."""

    name: str
    namespace: str | None = None
    uid: str | None = None
    generation: int = 0
    resource_version: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
