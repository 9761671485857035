"""Whose consent was withdrawn, as the redaction of this node's logs has acted on it.

The log of the stream `consent` says who, by hash where another node told of it, and the redactor's note how far it is.
What is made of events (features) goes by both, so that it forgets an entity after the logs have, and can't take it up
from them again.
"""

import errno
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from skerry_core.durable import write_file
from skerry_edge.events.follow import Place
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import FIRST_SEQ
from skerry_edge.ingest import consent
from skerry_edge.ingest.entities import Entities
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.inbox import read_inbox

_AT_ONCE = 1024


@dataclass(frozen=True)
class Redacted:
    """How far redaction is done: number `seq` of the consent log `epoch`, with these data classes of streams."""

    epoch: str = ""
    seq: int = FIRST_SEQ - 1
    classes: Mapping[str, str] = field(default_factory=dict)


def read_redacted(note: Path) -> Redacted:
    """The redactor's note; as if nothing was done if it can't be read."""
    try:
        noted = json.loads(note.read_bytes())
        return Redacted(str(noted["epoch"]), int(noted["seq"]), dict(noted["classes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Redacted()


def write_redacted(note: Path, redacted: Redacted) -> None:
    """Raises OSError."""
    write_file(note, json.dumps(asdict(redacted)).encode())


def changes(reader: LogReader, seq: int) -> Iterator[tuple[int, consent.Record | None]]:
    """Records of a consent log after number `seq` as (number, change); None for what can't be understood."""
    while batches := reader.read(seq + 1, _AT_ONCE):
        for record in (record for batch in batches for record in batch.records()):
            try:
                yield record.seq, consent.read_record(record.body)
            except MalformedError:
                yield record.seq, None
        seq = batches[-1].last


class Gathered:
    """Entities that withdrew consent, by data class; those that other nodes told of by hash."""

    def __init__(self) -> None:
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._relayed: list[consent.Relayed] = []

    @property
    def relayed(self) -> bool:
        """Whether the site's secret is needed to tell whose they are."""
        return bool(self._relayed)

    def add(self, change: consent.Record | None) -> None:
        """Take a record of the consent log; grants don't matter here, nor does a loss, which names nobody."""
        match change:
            case consent.Relayed():
                if change.entity is not None:
                    self._relayed.append(change)
            case consent.Change():
                if change.withdrawn:
                    for data_class in change.data_classes:
                        self._names[data_class].add(change.entity)

    def of(self, data_class: str, secret: bytes) -> Entities:
        """Those of a data class."""
        hashes = {each.entity for each in self._relayed if each.entity is not None and each.holds_for(data_class)}
        return Entities(frozenset(self._names.get(data_class, ())), frozenset(hashes), secret)


def secret_for(gathered: Gathered, inbox: Path) -> bytes:
    """The site's secret, where it is needed. Raises OSError if it isn't here."""
    if not gathered.relayed:
        return b""
    found = read_inbox(inbox)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "sync has yet to say by which secret entities are hashed", str(inbox))
    return found.secret


class Withdrawals:
    """Used by one thread. `note` is the redactor's, `log` the folder of the consent log, `inbox` a file of sync's."""

    def __init__(self, note: Path, log: Path, inbox: Path) -> None:
        self._note = note
        self._inbox = inbox
        self._reader = LogReader(log)

    def since(self, stream: str, data_class: str, done: Place) -> tuple[str, Place, Entities]:
        """Entities whose events were redacted in a stream after `done`, when its data class was `data_class`.

        With the class as of now, and the place up to which that is all. A stream that has got another class counts
        anew from the log's beginning, as it does for redaction. Raises OSError.
        """
        redacted = read_redacted(self._note)
        held = redacted.classes.get(stream, "")
        place = Place(redacted.epoch, redacted.seq)
        if (held, place) == (data_class, done):
            return held, place, Entities()
        identity = self._reader.identity
        if not redacted.epoch or identity is None or identity.epoch != redacted.epoch:
            return data_class, done, Entities()
        same = held == data_class and done.epoch == redacted.epoch
        gathered = Gathered()
        if held:
            for seq, change in changes(self._reader, done.seq if same else FIRST_SEQ - 1):
                if seq > redacted.seq:
                    break
                gathered.add(change)
        return held, place, gathered.of(held, secret_for(gathered, self._inbox))
