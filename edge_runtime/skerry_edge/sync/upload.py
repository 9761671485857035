"""Carries the prediction log to the store, batch by batch; loses nothing wherever it is killed."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import structlog
import zstandard
from prometheus_client import CollectorRegistry, Counter, Gauge

from skerry_core.durable import fsync_directory, write_file
from skerry_core.errors import RetryError, SkerryError
from skerry_core.store.granted import Listing
from skerry_edge.events.reader import LogReader
from skerry_edge.events.recovery import FIRST_SEQ
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.sync import batching
from skerry_edge.sync.batching import Position
from skerry_edge.sync.layout import Layout

# A batch holds what came in this time, or less if that is more than a batch may hold.
PERIOD = timedelta(seconds=2)
# A failure that passes within this many seconds is nobody's business.
PATIENCE = 15.0
_LEVEL = 3  # zstd: 59 bytes a record of 278, and higher levels win little

_log = structlog.get_logger()


class Outbox(Protocol):
    """What of a granted store an upload needs; keys are relative to the site's own prefix."""

    def upload(self, key: str, data: bytes) -> None:
        """Write an object; when it returns, the store has it whole."""
        ...

    def list_own(self) -> Listing:
        """List the site's objects, perhaps not all."""
        ...


class Uploader:
    """Sends one batch a step. `outbox` opens the store by the grant in force; raises SkerryError if there is none."""

    def __init__(self, layout: Layout, node: str, outbox: Callable[[], Outbox], registry: CollectorRegistry) -> None:
        self._layout = layout
        self._node = node
        self._outbox = outbox
        self._reader = LogReader(layout.log)
        self._position: Position | None = None
        noted = self._noted()
        self._uploaded = FIRST_SEQ - 1 if noted is None else noted.seq
        self._failure: SkerryError | None = None
        self._failing_since = 0.0
        self._bytes = Counter("skerry_sync_uploaded_bytes_total", "Compressed bytes sent.", registry=registry)
        self._records = Counter("skerry_sync_uploaded_records_total", "Records sent.", registry=registry)
        self._gauge = Gauge("skerry_sync_uploaded_seq", "Highest number that the store has.", registry=registry)

    @property
    def uploaded(self) -> int:
        """Highest sequence number that the store is known to have."""
        return self._uploaded

    @property
    def failure(self) -> SkerryError | None:
        """Why nothing could be uploaded for a while; None if all is well, or not yet bad enough to tell."""
        failure = self._failure
        return None if failure is None or time.monotonic() - self._failing_since < PATIENCE else failure

    def step(self) -> timedelta:
        """Send the next batch, if there is one; the pause until the next step.

        After any error the position is forgotten, and computed again from the store and the note on disk.
        """
        try:
            epoch = self._epoch()
            pause = PERIOD if epoch is None else self._send(self._outbox(), epoch)
        except SkerryError as error:
            self._position = None
            if self._failure is None:
                self._failing_since = time.monotonic()
            self._failure = error
            raise
        except Exception:
            self._position = None
            raise
        self._failure = None
        return pause

    def _send(self, outbox: Outbox, epoch: str) -> timedelta:
        prefix = batching.events_prefix(self._node, epoch)
        if self._position is None or self._position.epoch != epoch:
            listed = (info.key for info in outbox.list_own().objects)
            self._advance(batching.position(prefix, epoch, listed, self._noted()))
        assert self._position is not None
        try:
            records = self._reader.read(self._position.seq + 1, batching.MAX_RECORDS)
        except OSError as error:
            raise RetryError("LogUnreadable", f"the prediction log can't be read: {error}") from error
        if not records:
            return PERIOD
        batch = batching.cut(records)
        data = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(batching.encode(batch))
        outbox.upload(batching.batch_key(prefix, batch), data)
        self._bytes.inc(len(data))
        self._records.inc(len(batch))
        self._advance(Position(epoch, batch[-1].seq))
        more = len(batch) < len(records) or len(records) == batching.MAX_RECORDS
        return timedelta() if more else PERIOD

    def _advance(self, position: Position) -> None:
        """Note the position durably, and only then remove what it makes needless."""
        write_file(self._layout.uploaded, json.dumps({"epoch": position.epoch, "seq": position.seq}).encode())
        self._position = position
        self._uploaded = position.seq
        self._gauge.set(position.seq)
        if not self._layout.log.is_dir():
            return
        removable = batching.removable(segment_firsts(self._layout.log), position.seq)
        for first in removable:
            segment_path(self._layout.log, first).unlink(missing_ok=True)
        if removable:
            fsync_directory(self._layout.log)
            _log.info("log segments removed", count=len(removable), uploaded=position.seq)

    def _noted(self) -> Position | None:
        try:
            noted = json.loads(self._layout.uploaded.read_bytes())
            return Position(str(noted["epoch"]), int(noted["seq"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _epoch(self) -> str | None:
        """The log's epoch; None while inference has not yet begun one."""
        try:
            return str(json.loads(self._layout.node.read_bytes())["logEpoch"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RetryError("LogUnreadable", f"the log's epoch can't be read: {error}") from error
