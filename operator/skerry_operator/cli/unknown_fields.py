"""Fields that a person wrote and nobody reads."""

from collections.abc import Iterator
from typing import Any


def unknown_fields(given: Any, read: Any, path: str = "") -> Iterator[str]:
    """Paths of fields that were given and not read."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, value in given.items():
            if name not in read:
                yield f"{path}{name}"
            else:
                yield from unknown_fields(value, read[name], f"{path}{name}.")
    elif isinstance(given, list) and isinstance(read, list):
        for index, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from unknown_fields(one, other, f"{path}{index}.")
