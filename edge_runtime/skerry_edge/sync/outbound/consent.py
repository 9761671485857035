"""Who consents, folded from the `consent` stream's records in order (their form: `skerry_edge.ingest.consent`). Pure.

A grant covers what was recorded after it, until it is withdrawn: what was recorded before a grant, or between a
withdrawal and the next grant, doesn't leave the node later either. Records are ordered by their hybrid logical time,
which one process gives out for all of its streams.

It fails safe: a record that can't be understood withdraws all that its entity granted, and after a loss in the log
everybody must consent anew, since what was lost may have been a withdrawal. What another node told of ends what was
granted here before it came, whatever clocks say; told again, it changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from skerry_edge.ingest.consent import Change, Record, Relayed, entity_key, read_record, site_hash
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.sync.outbound.entity import entity_of

# About 400 bytes of memory each. Grants of further entities are refused and counted.
MAX_ENTITIES = 100_000
# Of one entity; one that grants more has granted none.
MAX_CLASSES = 64
# Nodes of which it is remembered how far they have told.
MAX_NODES = 256

# No hybrid logical time is later.
_NEVER = (1 << 64) - 1

# When each data class was granted.
Grants: TypeAlias = Mapping[str, int]
# Of another node's withdrawals: its counting, and the number of the last one that was taken.
Taken: TypeAlias = tuple[str, int]


@dataclass(frozen=True)
class Consents:
    """Grants by `entity_key`, after every record up to number `seq` of the consent log `epoch`.

    `taken` is by other node. `malformed` counts records that couldn't be understood, `refused` grants beyond
    MAX_ENTITIES, `losses` how often everything had to be withdrawn.
    """

    epoch: str = ""
    seq: int = 0
    grants: Mapping[str, Grants] = field(default_factory=dict)
    taken: Mapping[str, Taken] = field(default_factory=dict)
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


def forgotten(consents: Consents, epoch: str, seq: int) -> Consents:
    """After a loss up to number `seq`: nobody consents any more."""
    losses = consents.losses + bool(consents.grants)
    return replace(consents, epoch=epoch, seq=seq, grants={}, losses=losses)


def fold(consents: Consents, records: Iterable[tuple[int, int, bytes]], secret: bytes) -> Consents:
    """`consents` after further records, as (seq, hlc, body) in their order; `secret` as in `told`."""
    after = _Fold(consents, secret)
    seq = consents.seq
    for number, hlc, body in records:
        seq = number
        after.take(body, hlc)
    return after.result(seq)


def told(consents: Consents, waiting: Iterable[Relayed], secret: bytes) -> Consents:
    """`consents` after what other nodes told of; `secret` is what the site's nodes hash entities with."""
    after = _Fold(consents, secret)
    for relayed in waiting:
        after.tell(relayed)
    return after.result(consents.seq)


class _Fold:
    """What changes while records are taken."""

    def __init__(self, before: Consents, secret: bytes) -> None:
        self._before = before
        self._secret = secret
        self._grants = dict(before.grants)
        self._taken = dict(before.taken)
        self._malformed, self._refused, self._losses = before.malformed, before.refused, before.losses
        # Keys by hash, once somebody asks.
        self._hashes: dict[str, str] | None = None

    def result(self, seq: int) -> Consents:
        return Consents(
            self._before.epoch, seq, self._grants, self._taken, self._malformed, self._refused, self._losses
        )

    def take(self, body: bytes, hlc: int) -> None:
        change = _read(body)
        if isinstance(change, Relayed):
            self.tell(change)
            return
        entity = entity_of(body) if change is None else change.entity
        self._malformed += change is None
        if entity is None:  # redacted: it may have been anybody's withdrawal
            self._lose()
            return
        key = entity_key(entity)
        self._set(key, {} if change is None else _changed(self._grants.get(key, {}), change, hlc))

    def tell(self, relayed: Relayed) -> None:
        if has_taken(self._taken, relayed):
            return
        # The node told of last comes last: beyond the bound, whichever was silent for longest is forgotten.
        self._taken.pop(relayed.node, None)
        self._taken[relayed.node] = (relayed.incarnation, relayed.number)
        if len(self._taken) > MAX_NODES:
            del self._taken[next(iter(self._taken))]
        if relayed.entity is None:
            self._lose()
            return
        if self._hashes is None:
            self._hashes = {site_hash(self._secret, key): key for key in self._grants}
        key = self._hashes.get(relayed.entity)
        if key in self._grants:
            held = self._grants[key]
            self._set(key, {name: since for name, since in held.items() if not relayed.holds_for(name)})

    def _lose(self) -> None:
        self._losses += bool(self._grants)
        self._grants.clear()

    def _set(self, key: str, held: Grants) -> None:
        self._grants.pop(key, None)
        if not held or len(held) > MAX_CLASSES:
            return
        if len(self._grants) >= MAX_ENTITIES:
            self._refused += 1
            return
        self._grants[key] = held
        if self._hashes is not None:
            self._hashes[site_hash(self._secret, key)] = key


def has_taken(taken: Mapping[str, Taken], relayed: Relayed) -> bool:
    """Whether what another node told of was taken already."""
    incarnation, number = taken.get(relayed.node, ("", 0))
    return incarnation == relayed.incarnation and number >= relayed.number


def _read(body: bytes) -> Record | None:
    try:
        return read_record(body)
    except (MalformedError, ValueError, RecursionError):
        return None


def _changed(grants: Grants, change: Change, hlc: int) -> Grants:
    """What was granted before stays granted since then."""
    if change.withdrawn:
        return {name: since for name, since in grants.items() if name not in change.data_classes}
    return {**dict.fromkeys(change.data_classes, hlc), **grants}
