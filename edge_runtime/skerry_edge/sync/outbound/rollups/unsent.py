"""Rollups that were told and haven't left the node yet: whose values are in them, so that they can be taken back. Pure.

A withdrawal takes out an event that waits for the link; so it does with a record that the event's values are in.
"""

from collections.abc import Callable, Sequence

import msgspec

from skerry_edge.sync.outbound.rollups.told import Told
from skerry_edge.sync.positions import Range, Sent

# Entities, counted anew in each entry: 250 bytes each in memory, 50 in the file. With more, the oldest are taken back.
MAX_ENTITIES = 30_000


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """Some records in (after, last] of the log `rollups`, by id; all of them of streams of a data class.

    `since` has, of each entity whose values are in them, the hybrid logical time of the first.
    """

    data_class: str
    after: int
    last: int
    ids: tuple[str, ...]
    since: dict[str, int]


def entry_of(data_class: str, after: int, last: int, told: Sequence[Told]) -> Entry:
    """The entry of what was appended."""
    since: dict[str, int] = {}
    for each in told:
        for entity, part in each.window.parts.items():
            since[entity] = min(part.since, since.get(entity, part.since))
    return Entry(data_class, after, last, tuple(each.id for each in told), since)


def waiting(entries: Sequence[Entry], sent: Sent) -> tuple[Entry, ...]:
    """Those that the store hasn't got whole."""
    return tuple(entry for entry in entries if not sent.covers(Range(entry.after, entry.last)))


def taken_back(
    entries: Sequence[Entry], covers: Callable[[str, str, int], bool], room: int = MAX_ENTITIES
) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Entries to take back, and those that stay.

    `covers` tells of an entity, by data class and hybrid logical time, whether it consents. What there is no room to
    remember could not be taken back later, so it is now.
    """
    gone: list[Entry] = []
    kept: list[Entry] = []
    for entry in reversed(entries):
        room -= len(entry.since)
        consents = all(covers(entity, entry.data_class, since) for entity, since in entry.since.items())
        (kept if consents and room >= 0 else gone).append(entry)
    return tuple(reversed(gone)), tuple(reversed(kept))
