"""Whether another node's snapshot may become part of a version's state here, and how the two become one. Pure.

A node that is new to a stream takes one over, from a node that has followed the version for long; its own events are
applied to what it has, before and afterwards, by its own log alone. No event counts twice: both states are made of
events of logs that are named, and a snapshot that holds any of this node's own logs isn't taken.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

from msgspec import structs

from skerry_core.micros import micros_in
from skerry_edge.features.note import NO_ANCHOR, Adopted, EntityRecord, VersionNote
from skerry_edge.features.ports import Engine, Subjects
from skerry_edge.features.snapshots import EXPIRES, Entities

OLDER = timedelta(hours=1)
"""By how much longer the other node must have computed the version: nodes that begin together have nothing to give."""
AHEAD = timedelta(minutes=2)
"""By how much the other node's clock may be ahead of this one's."""
MAX_EPOCHS = 256
# No boot's hash has it but by the rarest chance, so that ages of what another node received go by the wall clock.
_ANOTHER_BOOT = 0


def unfit(found: VersionNote, document: bytes, begun: int, own: frozenset[str], now: int) -> str:
    """Why a snapshot can't be taken over by a version of `document` that was begun here at `begun`; empty if it can.

    `own` are the epochs of the stream's logs that are or were here, `now` is µs since 1970.
    """
    reasons = (
        (found.document != document, "it is of another document"),
        (not found.made or not found.made_by, "it doesn't say who made it, and when"),
        (found.made - now > micros_in(AHEAD), "it was made later than the clock here says"),
        (now - found.made >= micros_in(EXPIRES), "it has expired"),
        (begun - found.begun < micros_in(OLDER), "the other node hasn't computed the version for longer"),
        (bool(found.epochs & own), "it holds events of this node's own logs"),
        (len(found.epochs) > MAX_EPOCHS, "it is made of too many logs"),
    )
    return next((why for holds, why in reasons if holds), "")


def adopting(note: VersionNote, found: VersionNote, digest: str) -> VersionNote:
    """A version's note once it has taken over the snapshot with this digest.

    Its own position stays as it is, and so does how far it has gone by withdrawals of consent.
    """
    adopted = Adopted(found.made_by, digest, found.made, tuple(sorted(found.epochs)))
    return structs.replace(note, seeks=False, adopted=adopted)


def foreign(engine: Engine, entities: Entities, withdrawn: Subjects) -> Iterator[tuple[bytes, EntityRecord]]:
    """Another node's records as they are kept here, but for those whose consent was withdrawn.

    Its uptimes say nothing here. ValueError for what is no state.
    """
    for key, record in entities:
        if withdrawn and engine.may_be_of(key, withdrawn):
            continue
        engine.decode(record.state)
        yield key, replace(record, anchor=NO_ANCHOR, boot=_ANOTHER_BOOT)


def merging(engine: Engine, now: int) -> Callable[[EntityRecord, EntityRecord], EntityRecord]:
    """What makes one record of an entity that both nodes know; it is as old as the newer of the two."""

    def merged(own: EntityRecord, other: EntityRecord) -> EntityRecord:
        state = engine.merge(engine.decode(own.state), engine.decode(other.state), now)
        newer = own if own.received >= other.received else other
        return replace(newer, state=engine.encode(state))

    return merged
