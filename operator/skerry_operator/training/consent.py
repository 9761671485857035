"""Whose events may be trained on, folded from the hub's records of the stream `consent`. Pure.

It goes by what a node goes by before anything leaves it: a grant covers what its own node recorded after it, until it
is withdrawn; what can't be understood withdraws, and after a loss in a log all of that node must consent anew. The hub
sees all nodes of a site, and a withdrawal at one of them holds for all: a subject that withdraws isn't asked where.

Subjects leave a site by hash, one for the stream `consent` and others for the classes of events (`data.subjects`). A
record binds these names together; whoever withdraws under the one is known by the other. What another node told a
node of withdraws there by a name of its own kind (`data.relay` of a record), which says of which grants it came after,
whatever the nodes' clocks say.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skerry_operator.ingest.schema import column_name

GRANTED = "dev.skerry.consent.granted"
WITHDRAWN = "dev.skerry.consent.withdrawn"
RELAYED = "dev.skerry.consent.relayed"
CLASSES = column_name(("data", "dataClasses"))
NAMES = column_name(("data", "subjects")) + "_"
"""Columns that begin so have a subject's other names."""
RELAY = column_name(("data", "relay"))
"""What nodes call a subject when they tell each other of it."""

Node = tuple[str, str]
"""Site and node."""


@dataclass(frozen=True)
class ConsentRecord:
    """A record of a consent log; `lost` if records before it, in its log, never came.

    `subject` None: it can't be told whose it is. `classes` empty: it can't be understood, or all are withdrawn. `relay`
    is what nodes call the subject among themselves; `relayed`: another node told of it, and the subject is that name.
    """

    node: Node
    hlc: int
    subject: str | None
    names: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()
    withdrawn: bool = False
    lost: bool = False
    relay: str | None = None
    relayed: bool = False


@dataclass(frozen=True)
class Consents:
    """Who consents to all of some data classes: since which hybrid logical time, by node and by a subject's names.

    `names` are all that a site's records tell of, whether they consent or not.
    """

    since: Mapping[Node, Mapping[str, int]] = field(default_factory=dict)
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def covers(self, node: Node, subject: str | None, hlc: int) -> bool:
        """Whether what a node recorded of a subject at a hybrid logical time may be used."""
        if not subject:
            return False
        since = self.since.get(node, {}).get(subject)
        return since is not None and hlc > since

    def refuses(self, node: Node, name: str, hlc: int) -> bool:
        """Whether that is known to be somebody's name who doesn't consent."""
        return name in self.names.get(node[0], ()) and not self.covers(node, name, hlc)


@dataclass(frozen=True)
class LabelRecord:
    """A label of a row: which node recorded it and when (hybrid logical time), and its event's subject."""

    node: Node
    hlc: int
    subject: str | None


def row_covered(
    consents: Consents, node: Node, parts: Sequence[str], place: int | None, hlc: int, *, seen: bool
) -> bool:
    """Whether a row may be trained on: of a subject that consents, or where its key tells none, of such events alone.

    `parts` are those of its entity's key, `place` which of them is the subject, `seen` whether an event is in it.
    """
    if place is not None:
        return consents.covers(node, parts[place], hlc)
    return seen and not any(consents.refuses(node, part, hlc) for part in parts)


def label_covered(consents: Consents, node: Node, parts: Sequence[str], place: int | None, label: LabelRecord) -> bool:
    """Whether a label of such a row may be used, by whom it is about: its subject, else whom the row is about.

    Consent may have been given at the node that answered (`node`), or at the one that the label came to.
    """
    whom = (label.subject,) if label.subject else parts if place is None else (parts[place],)
    return all(any(consents.covers(at, each, label.hlc) for at in (node, label.node)) for each in whom)


def fold(records: Iterable[ConsentRecord], classes: frozenset[str]) -> Consents:
    """Consents after all records, which come in the order of their logs, a node's after each other."""
    grants: dict[Node, dict[str, dict[str, int]]] = {}
    withdrawals: dict[tuple[str, str], dict[str, int]] = {}
    names: dict[str, dict[str, set[str]]] = {}
    relays: dict[tuple[Node, str], set[str]] = {}
    for record in records:
        held = grants.setdefault(record.node, {})
        if record.lost or record.subject is None:
            held.clear()
        if record.subject is None:
            continue
        site, subject = record.node[0], record.subject
        gone = record.classes or classes
        if record.relayed:
            for known in relays.get((record.node, subject), ()):
                held[known] = _without(held.get(known, {}), gone)
            continue
        if record.relay is not None:
            relays.setdefault((record.node, record.relay), set()).add(subject)
        names.setdefault(site, {}).setdefault(subject, set()).update({subject, *record.names})
        if record.classes and not record.withdrawn:
            held[subject] = {**dict.fromkeys(record.classes, record.hlc), **held.get(subject, {})}
            continue
        held[subject] = _without(held.get(subject, {}), gone)
        last = withdrawals.setdefault((site, subject), {})
        last.update({name: max(last.get(name, 0), record.hlc) for name in gone})
    since: dict[Node, Mapping[str, int]] = {}
    for node, held in grants.items():
        covered = {
            subject: _since(held.get(subject, {}), withdrawals.get((node[0], subject), {}), classes)
            for subject in names.get(node[0], {})
        }
        since[node] = _by_name(covered, names.get(node[0], {}))
    return Consents(since, {site: frozenset[str]().union(*held.values()) for site, held in names.items()})


def _without(held: Mapping[str, int], gone: frozenset[str]) -> dict[str, int]:
    return {name: since for name, since in held.items() if name not in gone}


def _since(granted: Mapping[str, int], withdrawn: Mapping[str, int], classes: frozenset[str]) -> int | None:
    """Since when all classes are granted; None if one isn't, or was withdrawn anywhere since."""
    if any(granted.get(name, -1) <= withdrawn.get(name, -1) for name in classes):
        return None
    return max(granted[name] for name in classes)


def _by_name(covered: Mapping[str, int | None], names: Mapping[str, set[str]]) -> Mapping[str, int]:
    """The same by any name; one that two subjects bear is covered only if both are."""
    since: dict[str, int | None] = {}
    for subject, known in names.items():
        for name in known:
            before, now = since.get(name, -1), covered[subject]
            since[name] = None if before is None or now is None else max(before, now)
    return {name: time for name, time in since.items() if time is not None}


@dataclass(frozen=True)
class Accounted:
    """Numbers of a consent log that have no row: `skipped` ones, both ends included, never were records.

    `end` is the last number of which anything is known.
    """

    skipped: tuple[tuple[int, int], ...] = ()
    end: int = 0

    def lost(self, after: int, before: int) -> bool:
        """Whether a record between two numbers never came."""
        never = sum(max(min(last, before - 1) - max(first, after + 1) + 1, 0) for first, last in self.skipped)
        return never < before - after - 1


Log = tuple[str, str, str]
_NOTHING = Accounted()


def read_records(rows: Iterable[Mapping[str, Any]], logs: Mapping[Log, Accounted]) -> Iterator[ConsentRecord]:
    """Rows of the consent table, by site and node in the order of their logs, with the losses between them.

    `logs` is by (site, node, epoch).
    """
    log: Log | None = None
    seq = 0
    for row in rows:
        found: Log = (row["site"], row["node"], row["epoch"])
        if log is not None and found != log:
            yield from _cut_off(log, seq, logs)
        # Another log: what the one before it still said is unknown.
        lost = found != log or logs.get(found, _NOTHING).lost(seq, row["seq"])
        log, seq = found, row["seq"]
        yield _record(row, found[:2], lost=lost)
    if log is not None:
        yield from _cut_off(log, seq, logs)


def _cut_off(log: Log, seq: int, logs: Mapping[Log, Accounted]) -> Iterator[ConsentRecord]:
    """What is left of a log's consents when records after its last row were lost: nothing."""
    accounted = logs.get(log, _NOTHING)
    if accounted.end > seq and accounted.lost(seq, accounted.end + 1):
        yield ConsentRecord(log[:2], 0, None, lost=True)


def _record(row: Mapping[str, Any], node: Node, *, lost: bool) -> ConsentRecord:
    names = {value for name, value in row.items() if name.startswith(NAMES) and isinstance(value, str)}
    subject, kind, classes = row.get("subject"), row.get("type"), _classes(row.get(CLASSES))
    relay = row.get(RELAY)
    if row.get("set_aside") is not None:
        body = _body(row.get("body"))
        subject, kind = body.get("subject"), body.get("type")
        data = body.get("data")
        data = data if isinstance(data, dict) else {}
        classes = _classes(data.get("dataClasses"))
        subjects, relay = data.get("subjects"), data.get("relay")
        names = {each for each in subjects.values() if isinstance(each, str)} if isinstance(subjects, dict) else set()
    if not isinstance(subject, str) or not subject:
        subject = None
    understood = kind in {GRANTED, WITHDRAWN, RELAYED}
    return ConsentRecord(
        node=node,
        hlc=row["hlc"],
        subject=subject,
        names=frozenset(names),
        classes=classes if understood else frozenset(),
        withdrawn=kind == WITHDRAWN,
        lost=lost,
        relay=relay if isinstance(relay, str) else None,
        relayed=kind == RELAYED,
    )


def _classes(value: object) -> frozenset[str]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return frozenset()
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        return frozenset()
    return frozenset(value)


def _body(text: object) -> dict[str, Any]:
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        body = None
    return body if isinstance(body, dict) else {}
