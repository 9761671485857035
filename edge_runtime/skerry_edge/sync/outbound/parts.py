"""Open windows that keep entities apart, so that what one of them has there can be taken back. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from msgspec.structs import replace


class Part(Protocol):
    """What one entity has in a window; `since` is the hybrid logical time of its first record there."""

    @property
    def since(self) -> int: ...


class Parted(Protocol):
    """A window: a msgspec.Struct whose `parts` are by entity."""

    @property
    def parts(self) -> Mapping[str, Part]: ...


W = TypeVar("W", bound=Parted)


def without(windows: Iterable[W], covered: Callable[[str, int], bool]) -> tuple[W, ...]:
    """Windows without the parts of entities that don't consent any more, or consented anew since.

    `covered` tells whether an entity's record of a hybrid logical time may be used. A window that nothing is left of
    is none.
    """
    kept = []
    for window in windows:
        parts = {entity: part for entity, part in window.parts.items() if covered(entity, part.since)}
        if len(parts) == len(window.parts):
            kept.append(window)
        elif parts:
            # A Protocol can't say that it is a Struct.
            kept.append(replace(window, parts=parts))  # type: ignore[type-var]
    return tuple(kept)
