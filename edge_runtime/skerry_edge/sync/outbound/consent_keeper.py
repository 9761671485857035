"""Keeps the fold of the consent log: on disk so that a start is quick, from the log itself where that is lost."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Gauge

from skerry_core.durable import write_file
from skerry_core.errors import RetryError, SkerryError
from skerry_edge.events.follow import Place, Stretch, Tail
from skerry_edge.ingest.consent import Relayed
from skerry_edge.sync.outbound.consent import Consents, Taken, fold, forgotten, told

_READ = 1000
# The fold is written this often, if there is news: until then it is whole in the log.
_WRITE_EVERY = timedelta(seconds=30)

_log = structlog.get_logger()


class _Noted(msgspec.Struct):
    epoch: str
    seq: int
    grants: dict[str, dict[str, int]]
    taken: dict[str, tuple[str, int]] = {}


class ConsentKeeper:
    """Tells who consents now. Safe to use from several threads."""

    def __init__(self, note: Path, log: Path, secret: bytes, registry: CollectorRegistry) -> None:
        """`secret` is what the site's nodes hash entities with."""
        self._note = note
        self._secret = secret
        self._waiting: tuple[Relayed, ...] = ()
        self._shown: tuple[Consents, tuple[Relayed, ...], Consents] | None = None
        self._tail = Tail(log)
        self._lock = threading.Lock()
        self._consents = self._durable = self._noted()
        self._written_at: datetime | None = None
        self._facts = Gauge(
            "skerry_sync_consent",
            "Entities that consent; since the start: records not understood, grants refused, losses that withdrew all.",
            ["fact"],
            registry=registry,
        )
        self._show()

    def held(self) -> Place:
        """What of the consent log is in the file: segments may be removed up to here."""
        return Place(self._durable.epoch, self._durable.seq)

    def expect(self, waiting: Sequence[Relayed]) -> None:
        """What other nodes told of, and the log may not hold yet: nothing leaves against it from now on."""
        with self._lock:
            self._waiting = tuple(waiting)

    def current(self, now: datetime) -> Consents:
        """Consents after all that the log holds by now, and what other nodes told of.

        Raises RetryError ConsentUnreadable: then nothing that needs consent may leave.
        """
        with self._lock:
            try:
                while (stretch := self._tail.read(Place(self._consents.epoch, self._consents.seq), _READ)) is not None:
                    self._take(stretch)
                self._write(now)
            except (OSError, SkerryError) as error:
                message = f"the consent log can't be followed, so nothing that needs consent leaves: {error}"
                raise RetryError("ConsentUnreadable", message) from error
            return self._with_expected()

    def taken(self, now: datetime) -> Mapping[str, Taken]:
        """How far other nodes' withdrawals are in the log. Raises RetryError as `current` does."""
        self.current(now)
        return self._consents.taken

    def _with_expected(self) -> Consents:
        if not self._waiting:
            return self._consents
        if self._shown is None or self._shown[0] is not self._consents or self._shown[1] is not self._waiting:
            self._shown = self._consents, self._waiting, told(self._consents, self._waiting, self._secret)
        return self._shown[2]

    def _take(self, stretch: Stretch) -> None:
        consents, batches = self._consents, stretch.batches
        if stretch.lost is not None:
            if consents.grants or stretch.lost:
                _log.warning("consent log has lost records, everybody must consent anew", reason="ConsentLogLost")
            consents = forgotten(consents, stretch.place.epoch, stretch.place.seq)
            batches = batches[stretch.lost :]
        after = fold(
            consents,
            ((record.seq, record.hlc, record.body) for batch in batches for record in batch.records()),
            self._secret,
        )
        if after.losses > consents.losses:
            _log.warning("a withdrawal may have been lost, everybody must consent anew", reason="ConsentLost")
        self._consents = after
        self._show()

    def _write(self, now: datetime) -> None:
        if self._consents is self._durable:
            return
        if self._written_at is not None and timedelta() <= now - self._written_at < _WRITE_EVERY:
            return
        consents = self._consents
        write_file(
            self._note,
            msgspec.json.encode(
                {"epoch": consents.epoch, "seq": consents.seq, "grants": consents.grants, "taken": consents.taken}
            ),
            mode=0o600,
        )
        self._durable, self._written_at = consents, now

    def _noted(self) -> Consents:
        try:
            noted = msgspec.json.decode(self._note.read_bytes(), type=_Noted)
        except FileNotFoundError:
            return Consents()
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("consent file can't be read, folding the log anew", reason="ConsentNoteLost", error=str(error))
            return Consents()
        return Consents(noted.epoch, noted.seq, noted.grants, noted.taken)

    def _show(self) -> None:
        consents = self._consents
        for fact, value in (
            ("entities", len(consents.grants)),
            ("malformed", consents.malformed),
            ("refused", consents.refused),
            ("losses", consents.losses),
        ):
            self._facts.labels(fact).set(value)
