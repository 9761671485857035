"""Byte counts as Kubernetes writes them: `64Ki`, `20M`, `1.5Gi`; whole bytes inside.

After resource.Quantity (k8s.io/apimachinery, pkg/api/resource), of which sizes need the suffixes below; like there, a
fraction of a byte counts as one.
"""

import math
import re
from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from skerry_api.v1alpha1.cel import Rule, rules

BYTES_PATTERN = r"^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$"
_BYTES = re.compile(r"([0-9]+(?:\.[0-9]+)?)(k|M|G|T|Ki|Mi|Gi|Ti)?")
_LENGTH = 32
_BINARY = {"Ti": 1 << 40, "Gi": 1 << 30, "Mi": 1 << 20, "Ki": 1 << 10}
_DECIMAL = {"T": 10**12, "G": 10**9, "M": 10**6, "k": 1000}
_FACTORS = {"": 1, **_DECIMAL, **_BINARY}


def parse_bytes(text: str) -> int:
    """Read a byte count; ValueError for anything that isn't one, signs and exponents included."""
    match = _BYTES.fullmatch(text)
    if match is None or len(text) > _LENGTH:
        raise ValueError(f"{text!r} is not a byte count such as 65536, 64Ki or 20M")
    return math.ceil(Decimal(match[1]) * _FACTORS[match[2] or ""])


def format_bytes(count: int) -> str:
    """Write a byte count exactly, in the largest unit that divides it; ValueError for a negative one."""
    if count < 0:
        raise ValueError(f"{count} is negative")
    for unit, size in (*_BINARY.items(), *_DECIMAL.items()):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return str(count)


def _read(value: object) -> object:
    return parse_bytes(value) if isinstance(value, str) else value


ByteCount = Annotated[int, BeforeValidator(_read), PlainSerializer(format_bytes)]
"""Whole bytes; a quantity on the wire."""


def between(least: str, most: str) -> WithJsonSchema:
    """Make a ByteCount one that the API server keeps within both bounds, to be given as quantities."""
    bounds = Rule(
        f"quantity(self).compareTo(quantity('{least}')) >= 0 && quantity(self).compareTo(quantity('{most}')) <= 0",
        f"must be from {least} to {most}",
    )
    return WithJsonSchema({"type": "string", "pattern": BYTES_PATTERN, "maxLength": _LENGTH, **rules(bounds)})
