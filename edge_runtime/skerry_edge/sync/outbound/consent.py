"""Who consents, folded from the `consent` stream's records in order (their form: `skerry_edge.ingest.consent`). Pure.

A grant covers what was recorded after it, until it is withdrawn: what was recorded before a grant, or between a
withdrawal and the next grant, doesn't leave the node later either. Records are ordered by their hybrid logical time,
which one process gives out for all of its streams.

It fails safe: a record that can't be understood withdraws all that its entity granted, and after a loss in the log
everybody must consent anew, since what was lost may have been a withdrawal.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from skerry_edge.ingest.consent import Change, read_change
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.sync.outbound.entity import entity_of

# About 400 bytes of memory each. Grants of further entities are refused and counted.
MAX_ENTITIES = 100_000
# Of one entity; one that grants more has granted none.
MAX_CLASSES = 64

# No hybrid logical time is later.
_NEVER = (1 << 64) - 1

# When each data class was granted.
Grants: TypeAlias = Mapping[str, int]


@dataclass(frozen=True)
class Consents:
    """Grants by `entity_key`, after every record up to number `seq` of the consent log `epoch`.

    `malformed` counts records that couldn't be understood, `refused` grants beyond MAX_ENTITIES, `losses` how often
    everything had to be withdrawn.
    """

    epoch: str = ""
    seq: int = 0
    grants: Mapping[str, Grants] = field(default_factory=dict)
    malformed: int = 0
    refused: int = 0
    losses: int = 0

    def cover(self, entity: str | None, data_class: str, hlc: int) -> bool:
        """Whether a record of an entity, written at a hybrid logical time, may leave the node."""
        return entity is not None and self.covers(entity_key(entity), data_class, hlc)

    def covers(self, key: str, data_class: str, hlc: int) -> bool:
        """The same of an entity that `key` stands for."""
        grants = self.grants.get(key)
        return grants is not None and hlc > grants.get(data_class, _NEVER)


def entity_key(entity: str) -> str:
    """What stands for an entity in memory and on disk: 32 characters however long its name is."""
    return hashlib.blake2b(entity.encode(), digest_size=16, person=b"skerry-consent").hexdigest()


def forgotten(consents: Consents, epoch: str, seq: int) -> Consents:
    """After a loss up to number `seq`: nobody consents any more."""
    losses = consents.losses + bool(consents.grants)
    return Consents(epoch, seq, {}, consents.malformed, consents.refused, losses)


def fold(consents: Consents, records: Iterable[tuple[int, int, bytes]]) -> Consents:
    """`consents` after further records, as (seq, hlc, body) in their order."""
    grants = dict(consents.grants)
    seq, malformed, refused, losses = consents.seq, consents.malformed, consents.refused, consents.losses
    for number, hlc, body in records:
        seq = number
        change = _read(body)
        entity = entity_of(body) if change is None else change.entity
        malformed += change is None
        if entity is None:  # redacted: it may have been anybody's withdrawal
            losses += bool(grants)
            grants.clear()
            continue
        key = entity_key(entity)
        held = {} if change is None else _changed(grants.get(key, {}), change, hlc)
        grants.pop(key, None)
        if held and len(held) <= MAX_CLASSES:
            if len(grants) < MAX_ENTITIES:
                grants[key] = held
            else:
                refused += 1
    return Consents(consents.epoch, seq, grants, malformed, refused, losses)


def _read(body: bytes) -> Change | None:
    try:
        return read_change(body)
    except (MalformedError, ValueError, RecursionError):
        return None


def _changed(grants: Grants, change: Change, hlc: int) -> Grants:
    """What was granted before stays granted since then."""
    if change.withdrawn:
        return {name: since for name, since in grants.items() if name not in change.data_classes}
    return {**dict.fromkeys(change.data_classes, hlc), **grants}
