"""Carries all logs to the store, batch by batch, as the scheduler lets it; loses nothing wherever it is killed.

litestream's rule (its replica.go) holds: after an error nothing is assumed. What the store has is what it listed, or
what was noted durably after it had confirmed it; a batch whose fate isn't known is sent again, under another key.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter

from skerry_api.v1alpha1.syncpolicy import Tier
from skerry_core.backoff import delay
from skerry_core.batch.key import batch_key, parse_key, upload_mark
from skerry_core.errors import SkerryError
from skerry_core.store.granted import Listing
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.identity import LogIdentity, read_identity
from skerry_edge.sync.fence import add_to_fence
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.log_source import LogSource, reading
from skerry_edge.sync.outgoing import Outgoing, Pass, Ready, log_folders
from skerry_edge.sync.positions import Range, Sent
from skerry_edge.sync.schedule.plan import Lane, Part, Queue, Upload, Wait, lane_of
from skerry_edge.sync.scheduler import Lease, Scheduler, is_of_link
from skerry_edge.sync.sent_notes import SentNotes
from skerry_edge.sync.traffic import LISTING, RESEND, Traffic
from skerry_edge.telemetry.lag import StoredLag

# How long nothing may be looked for: what comes goes after so long, the scheduler's linger aside.
PERIODS = {Lane.EXPRESS: timedelta(seconds=0.5), Lane.SHARED: timedelta(seconds=2)}
# A failure that passes within this many seconds is nobody's business.
PATIENCE = 15.0
# The site's objects are listed at most this often, in seconds, and less often where budgets are small.
LISTING_SECONDS = 60.0

# What has failed if it isn't a log.
_LINK, _NODE = "link", "node"

_log = structlog.get_logger()


class Outbox(Protocol):
    """What of a granted store an upload needs; keys are relative to the site's own prefix."""

    def upload(self, key: str, data: bytes) -> None:
        """Write an object; when it returns, the store has it whole."""
        ...

    def list_own(self) -> Listing:
        """List the site's objects, perhaps not all."""
        ...

    def list_resends(self) -> Listing:
        """List the hub's requests to send records again."""
        ...


class Uploader:
    """Sends one batch a step of a lane. Lanes run in threads of their own and never touch one log at once."""

    def __init__(
        self,
        layout: Layout,
        site: str,
        outbox: Callable[[], Outbox],
        policy: Callable[[], SyncPolicyDocument],
        passed: Pass,
        scheduler: Scheduler,
        traffic: Traffic,
        registry: CollectorRegistry,
        *,
        boot_id: str,
    ) -> None:
        """`outbox` opens the store by the grant in force, and raises SkerryError if there is none.

        `policy` gives the policy in force, `passed` says what of a stream's records leaves the node.
        """
        self._layout = layout
        self._site = site
        self._outbox = outbox
        self._policy = policy
        self._passed = passed
        self._scheduler = scheduler
        self._traffic = traffic
        self._boot_id = boot_id
        self._notes = SentNotes(layout.uploaded)
        self._all: dict[str, Outgoing] = {}
        self._lock = threading.Lock()
        self._listing = threading.Lock()
        self._listed: dict[str, list[Range]] = {}
        self._listed_at: float | None = None
        self._doubtful = True
        self._failures: dict[str, tuple[SkerryError, float]] = {}
        self._lag = StoredLag(registry)
        self._records = Counter(
            "skerry_sync_uploaded_records_total", "Records that the store has, by tier.", ["tier"], registry=registry
        )
        self._batches = Counter(
            "skerry_sync_uploaded_batches_total", "Batches that the store has, by tier.", ["tier"], registry=registry
        )

    @property
    def notes(self) -> SentNotes:
        """What the store is known to have."""
        return self._notes

    @property
    def failure(self) -> SkerryError | None:
        """Why something couldn't be uploaded for a while; None if all is well, or not yet bad enough to tell.

        It lasts until the very thing that failed has succeeded, whatever waits or goes well meanwhile.
        """
        if self._scheduler.up:
            self._failures.pop(_LINK, None)
        now, here = time.monotonic(), {*self._all, _LINK, _NODE}
        lasting = [
            error for key, (error, since) in list(self._failures.items()) if key in here and now - since >= PATIENCE
        ]
        return lasting[0] if lasting else None

    def outgoing(self) -> list[Outgoing]:
        """All logs that were found, as of the last step."""
        return list(self._all.values())

    def step(self, lane: Lane) -> timedelta:
        """Send the lane's next batch, if one may go; the pause until the next step."""
        try:
            pause = self._step(lane)
        except SkerryError as error:
            self._doubtful = True
            if not any(error is told for told, _ in list(self._failures.values())):
                self._failed(_NODE, error)
            raise
        except Exception:
            self._doubtful = True
            raise
        self._failures.pop(_NODE, None)
        return pause

    def queues(self, lane: Lane | None = None) -> dict[str, tuple[Outgoing, Queue]]:
        """What every log has to send; of one lane, or of all. A log that can't be read is passed over."""
        policy, found = self._policy(), {}
        for key, item in self._find().items():
            stream = policy.stream(item.stream)
            if lane is not None and lane_of(None if stream is None else stream.tier) is not lane:
                continue
            if not item.lock.acquire(blocking=False):
                continue  # it is being sent
            try:
                if item.look(self._notes, self._scheduler.at):
                    found[key] = (item, item.queue(policy))
            except SkerryError as error:
                _log.warning("log passed over", log=key, reason=error.reason, message=str(error))
            finally:
                item.lock.release()
        return found

    def ask_again(self, epoch: str, ranges: Iterable[Range]) -> bool:
        """Send these once more, as far as the store had them and they are there; false if there is no such log."""
        for item in self.outgoing():
            with item.lock:
                identity = item.identity
                if identity is None or identity.epoch != epoch:
                    continue
                asked = [had for part in ranges for had in item.sent.within(part)]
                item.resend += [had for had in asked if had not in item.resend]
                return True
        return False

    def lacks(self, epoch: str) -> bool:
        """Whether no log of this epoch is on the node, for certain: one that can't be read now may be it.

        Raises RetryError LogUnreadable.
        """
        for root in (self._layout.log, self._layout.own_log):
            with reading(root.name):
                for folder in root.iterdir() if root.is_dir() else ():
                    identity = read_identity(folder) if folder.is_dir() else None
                    if folder.is_dir() and (identity is None or identity.epoch == epoch):
                        return False
        return True

    def _step(self, lane: Lane) -> timedelta:
        queues = self.queues(lane)
        leased = self._scheduler.upload(tuple(queue for _, queue in queues.values()), lane)
        if isinstance(leased, Wait):
            return min(timedelta(seconds=leased.seconds), PERIODS[lane])
        assert isinstance(leased.command, Upload)
        item, queue = queues[leased.command.stream]
        assert queue.tier is not None
        return self._send(item, queue.tier, leased, leased.command)

    def _send(self, item: Outgoing, tier: Tier, lease: Lease, command: Upload) -> timedelta:
        """Make the batch and send it. Whatever happens, the lease is handed back, with what was really sent."""
        purpose = RESEND if command.part is Part.RESEND else tier.value
        error: Exception | None = None
        size = 0
        with self._traffic.exchange(purpose, lease.rate) as exchange:
            try:
                outbox = self._outbox()
                self._make_sure(outbox)
                with item.lock:
                    ready = self._ready(item, command)
                    if ready is None:
                        # Nothing of it can be had now; it must not hold up those behind it.
                        self._rest(item)
                        return PERIODS[Lane.SHARED]
                    data = ready.fitted.encoded.data
                    if len(data) > command.max_bytes and command.reserve:
                        item.too_large(ready.fitted)
                        return timedelta()
                    item.sending(command.part, ready.fitted)
                    self._tell_reach(item, ready)
                    outbox.upload(_key(ready), data)
                    size = len(data)
                    item.done(command.part, ready.fitted)
                    self._failures.pop(item.key, None)
            except Exception as caught:
                error = caught
                self._put_off(item, caught)
                raise
            finally:
                self._scheduler.uploaded(lease, exchange, size, error)
        self._records.labels(tier.value).inc(len(ready.fitted.cut.rows))
        self._batches.labels(tier.value).inc()
        if command.part is not Part.RESEND:
            self._lag.stored(tier.value, ready.batches, time.time_ns() // 1000)
        self._notes.note(ready.log.epoch, item.stream, item.sent)
        return timedelta()

    def _ready(self, item: Outgoing, command: Upload) -> Ready | None:
        self._believe_listing(item)
        stream = self._policy().stream(item.stream)
        if stream is None or item.fenced:
            return None
        return item.make(command.part, command.max_bytes, stream, self._passed, datetime.now(UTC))

    def _tell_reach(self, item: Outgoing, ready: Ready) -> None:
        """Note on disk how far the store may have a log, up to the head at once: few batches need a note of their own.

        A full disk must not keep what would make room on it. Killed then, sync may fence a log that needn't be.
        """
        if ready.fitted.cut.last <= (self._notes.reach(ready.log.epoch) or 0):
            return
        try:
            self._notes.will_reach(ready.log.epoch, item.stream, max(item.head, ready.fitted.cut.last))
        except OSError as error:
            _log.warning("how far the store may have a log can't be noted", stream=item.stream, error=str(error))

    def _put_off(self, item: Outgoing, error: Exception) -> None:
        """Let the other logs go on while something is wrong with this one alone."""
        of_link = is_of_link(error)
        if isinstance(error, SkerryError):
            self._failed(_LINK if of_link else item.key, error)
        if not of_link:
            self._rest(item)

    def _rest(self, item: Outgoing) -> None:
        item.failures += 1
        item.retry_at = self._scheduler.at + delay(item.failures, random.random()).total_seconds()  # noqa: S311

    def _failed(self, key: str, error: SkerryError) -> None:
        _, since = self._failures.get(key, (error, time.monotonic()))
        self._failures[key] = (error, since)

    def _find(self) -> dict[str, Outgoing]:
        """All logs that are there now; those that went are forgotten."""
        folders = dict(log_folders(self._layout.log, self._layout.own_log))
        with self._lock:
            known = self._all
            self._all = {
                key: known.get(key) or Outgoing(key, self._site, LogSource(path), self._boot_id)
                for key, path in folders.items()
            }
            return self._all

    def _make_sure(self, outbox: Outbox) -> None:
        """After an error, and at the start, ask the store what it has, as often as the budgets have room for that.

        Where they are small a start with a note goes by the note alone: it is never ahead of the store.
        """
        if not self._doubtful or not self._listing.acquire(blocking=False):
            return
        try:
            pause, at = self._scheduler.listing_pause(LISTING_SECONDS), self._scheduler.at
            if self._listed_at is None:
                known = [item.identity.epoch for item in self._all.values() if item.identity is not None]
                due = pause <= LISTING_SECONDS or any(self._notes.of(epoch) == Sent() for epoch in known)
            else:
                due = at >= self._listed_at + pause
            if not due:
                return
            listing = self._scheduler.beside(LISTING, outbox.list_own)
            self._listed_at, self._doubtful = at, False
        finally:
            self._listing.release()
        listed: defaultdict[str, list[Range]] = defaultdict(list)
        for info in listing.objects:
            name = parse_key(self._site, info.key)
            if name is not None:
                listed[name.log.epoch].append(Range(name.after, name.last))
        self._listed = dict(listed)

    def _believe_listing(self, item: Outgoing) -> None:
        """What the store listed of a log it has, whatever was believed. Called with the log's lock held."""
        identity = item.identity
        ranges = None if identity is None else self._listed.get(identity.epoch)
        if identity is None or ranges is None:
            return
        if not item.source.sealed:
            if item.known_end is None:
                return  # kept until the log was opened in this boot
            if max(part.last for part in ranges) > item.known_end:
                self._fence(item, identity)
        if not item.fenced:
            item.sent = item.sent.add(ranges)
        self._listed.pop(identity.epoch, None)

    def _fence(self, item: Outgoing, identity: LogIdentity) -> None:
        """The store has more of a log than the node: an older state of its disk came back.

        Only a log that was opened in this boot tells how far it goes. What it takes in until it is set aside would bear
        numbers that the store knows, so none of it is sent.
        """
        item.fenced = True
        if add_to_fence(self._layout.fence, item.stream, identity.epoch):
            _log.error(
                "the store has more of a log than this node: was its disk restored? restart the runtime's pod",
                reason="LogFenced",
                stream=item.stream,
                epoch=identity.epoch,
            )


def _key(ready: Ready) -> str:
    contents = ready.fitted.cut
    return batch_key(ready.log, contents.after, contents.last, ready.fitted.encoded.format, upload_mark())
