"""Withdrawn consent: what this node still holds of the entity is taken out of its logs.

The event that withdraws is durable before it is answered; the redaction follows within seconds, off the request path,
and is taken up again after a restart, for it is driven by the log of the stream `consent` itself: `consent.json` notes
how far it is done. It takes out every event of the entity (subject, else source) in streams of the data classes named,
those that came after the withdrawal included, and every dead letter of these streams, of which nobody can tell whose it
is. When the policy gives a stream another data class, the whole consent log is gone through again.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from skerry_api.v1alpha1.syncpolicy import AGGREGATES, ALERTS, CONSENT, DEAD_LETTER, ROLLUPS, TELEMETRY
from skerry_core.errors import SkerryError
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import FIRST_SEQ
from skerry_edge.ingest.entities import Entities
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.withdrawals import Gathered, Redacted, changes, read_redacted, secret_for, write_redacted

# Their logs are sync's; and whoever goes by the consent log would take a blank record for the loss of anybody's
# withdrawal, or pass over whose it was.
_OTHERS = frozenset({AGGREGATES, ALERTS, CONSENT, ROLLUPS, TELEMETRY})
_RETRY_SECONDS = 30.0

_log = structlog.get_logger(__name__)


class Redactable(Protocol):
    """What redaction asks of the process's logs (`skerry_edge.events.logs`)."""

    def directory(self, stream: str) -> Path:
        """Where a stream's log is."""
        ...

    def redact(self, stream: str, matches: Callable[[bytes], bool]) -> int:
        """Durably blank matching bodies. Raises KeyError if the stream isn't open, SkerryError, OSError."""
        ...


class Redactor:
    """One thread that follows the consent log."""

    def __init__(
        self,
        logs: Redactable,
        note: Path,
        inbox: Path,
        policy: Callable[[], SyncPolicyDocument],
        metrics: IngestMetrics,
    ) -> None:
        """`note` is the file consent.json, `inbox` sync's file that tells by which secret the site hashes entities."""
        self._logs = logs
        self._note = note
        self._inbox = inbox
        self._policy = policy
        self._metrics = metrics
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redaction", daemon=True)

    def start(self) -> None:
        """Begin, with what the last process left undone."""
        self._changed.set()
        self._thread.start()

    def notify(self) -> None:
        """Consent, or the policy, has changed."""
        self._changed.set()

    def stop(self) -> None:
        """End after the step under way; the rest is done after the next start."""
        self._stopping.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        done = True
        while not self._stopping.is_set():
            self._changed.wait(None if done else _RETRY_SECONDS)
            self._changed.clear()
            self._metrics.redactions_pending.set(1)
            try:
                done = self.catch_up()
            except (OSError, SkerryError) as error:
                done = False
                _log.warning("redaction can't be done now", error=str(error)[:300])
            self._metrics.redactions_pending.set(not done)

    def catch_up(self) -> bool:
        """Do what is left; False if a stream wasn't open yet, or its log can't be rewritten now.

        Raises OSError, SkerryError.
        """
        classes = {
            stream.name: stream.data_class
            for stream in self._policy().streams
            if stream.data_class is not None and stream.name not in _OTHERS
        }
        reader = LogReader(self._logs.directory(CONSENT))
        identity = reader.identity
        if identity is None:
            return True
        noted = read_redacted(self._note)
        same = noted.epoch == identity.epoch and noted.classes == classes
        gathered = Gathered()
        last = since = noted.seq if same else FIRST_SEQ - 1
        for seq, change in changes(reader, since):
            last = seq
            gathered.add(change)
        note = Redacted(identity.epoch, last, classes)
        if note == noted:
            return True
        secret = secret_for(gathered, self._inbox)
        matchers = {
            stream: _of_entities(entities)
            for stream, data_class in classes.items()
            if (entities := gathered.of(data_class, secret))
        }
        if matchers:
            matchers[DEAD_LETTER] = _letters_of(frozenset(matchers))
        # Each of them before that is asked: one whose turn hasn't come holds up no other.
        done = [self._redact(stream, matches) for stream, matches in matchers.items()]
        if not all(done):
            return False
        write_redacted(self._note, note)
        return True

    def _redact(self, stream: str, matches: Callable[[bytes], bool]) -> bool:
        try:
            count = self._logs.redact(stream, matches)
        except KeyError:
            return False
        except (OSError, SkerryError) as error:
            _log.warning("a stream can't be redacted now", stream=stream, error=str(error)[:300])
            return False
        self._metrics.redacted.labels(stream).inc(count)
        if count:
            _log.info("consent withdrawn, events redacted", stream=stream, events=count)
        return True


class _Whose(msgspec.Struct):
    source: str = ""
    subject: str | None = None


class _LetterData(msgspec.Struct):
    stream: str = ""


class _Letter(msgspec.Struct):
    data: _LetterData


_whose = msgspec.json.Decoder(_Whose).decode
_letter = msgspec.json.Decoder(_Letter).decode


def _of_entities(entities: Entities) -> Callable[[bytes], bool]:
    def matches(body: bytes) -> bool:
        try:
            found = _whose(body)
        except (msgspec.DecodeError, ValueError):
            return False
        return (found.source if found.subject is None else found.subject) in entities

    return matches


def _letters_of(streams: frozenset[str]) -> Callable[[bytes], bool]:
    def matches(body: bytes) -> bool:
        try:
            return _letter(body).data.stream in streams
        except (msgspec.DecodeError, ValueError):
            return True

    return matches
