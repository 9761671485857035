"""The streams that take events in now, as the SyncPolicy in force says; it may change at any time.

Streams are opened apart from requests: until one is open, which takes as long as reading its log's tail does, it
answers 503. A stream that the policy names no more takes nothing in, and its log stays for sync.
"""

import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import structlog

from skerry_api.v1alpha1.syncpolicy import BUILT_IN
from skerry_core.errors import SkerryError
from skerry_core.sync_policy.document import StreamPolicy, SyncPolicyDocument
from skerry_edge.events.settings import StreamSettings
from skerry_edge.ingest.errors import RefusedError
from skerry_edge.ingest.id_shares import BUILT_IN_INTAKE, shares
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.ingest.recall import recall
from skerry_edge.ingest.stream import Body, Log, Stream, as_it_came

# Skerry's own: nobody else writes them.
RESERVED = frozenset(BUILT_IN) - BUILT_IN_INTAKE
_MICROSECONDS = 1_000_000

_log = structlog.get_logger(__name__)


class Logs(Protocol):
    """What ingest asks of the process's logs (`skerry_edge.events`)."""

    def open(self, settings: StreamSettings) -> Log:
        """Open a stream's log, or go by other settings if it is open. Raises OSError."""
        ...

    def directory(self, stream: str) -> Path:
        """Where a stream's log is."""
        ...


class Streams:
    """Opens and finds streams; `apply` is called by one thread, `find` by any."""

    def __init__(self, logs: Logs, time: NodeTime, steady: Callable[[], float], body: Body = as_it_came) -> None:
        """`steady` is in seconds and never goes back; `body` gives what of an event is stored."""
        self._body = body
        self._logs = logs
        self._time = time
        self._steady = steady
        self._policy: SyncPolicyDocument | None = None
        self._pending: frozenset[str] = frozenset()
        self._open: dict[str, Stream] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> Stream:
        """The stream of a name. Raises RefusedError 404, or 503 if it is just being opened."""
        with self._lock:
            stream, pending = self._open.get(name), name in self._pending
            names = sorted(self._open.keys() | self._pending)
        if stream is not None:
            return stream
        if pending or self._policy is None:
            raise RefusedError(
                HTTPStatus.SERVICE_UNAVAILABLE, "StreamOpening", "the stream is just being opened", retry_after=1.0
            )
        there = ", ".join(names) or "none"
        raise RefusedError(
            HTTPStatus.NOT_FOUND,
            "UnknownStream",
            f"no stream {name[:64]!r} takes events in here; those that do, by the SyncPolicy in force: {there}",
        )

    def open_streams(self) -> dict[str, Stream]:
        """Streams that are open, by name."""
        with self._lock:
            return dict(self._open)

    def apply(self, policy: SyncPolicyDocument) -> bool:
        """Go by a policy: open, change and leave streams. Whether all of it is done; if not, call again later."""
        wanted = {stream.name: stream for stream in policy.streams if stream.name not in RESERVED}
        ids = shares(wanted.values())
        with self._lock:
            for name in self._open.keys() - wanted.keys():
                del self._open[name]
                _log.info("stream takes no more events", stream=name)
            self._pending = frozenset(wanted.keys() - self._open.keys())
            self._policy = policy
        done = True
        for name, stream_policy in wanted.items():
            try:
                self._apply_one(stream_policy, ids[name])
            except (OSError, SkerryError) as error:
                done = False
                _log.warning("stream can't be opened", stream=name, error=str(error)[:300])
        return done

    def _apply_one(self, policy: StreamPolicy, ids: int) -> None:
        known = self._open.get(policy.name)
        if known is not None and known.policy == policy:
            known.adopt(policy, ids)
            return
        settings = StreamSettings(policy.name, policy.tier.rank, policy.max_age, policy.max_bytes)
        log = self._logs.open(settings)
        if known is not None:
            known.adopt(policy, ids)
            return
        window = int(policy.dedup_window.total_seconds() * _MICROSECONDS)
        recalled = recall(self._logs.directory(policy.name), window, ids)
        self._time.seen(recalled.latest)
        stream = Stream(policy, log, self._time, self._steady, ids, recalled.messages, self._body)
        now = int(self._steady() * _MICROSECONDS)
        at = now - window
        if recalled.reach < window:
            stream.window.forget_until(now - recalled.reach)
        for key, seq, age in zip(recalled.keys, recalled.seqs, recalled.ages, strict=True):
            at = max(at, now - age)
            stream.window.remember(key, seq, at)
        with self._lock:
            self._open[policy.name] = stream
            self._pending -= {policy.name}
        _log.info("stream takes events", stream=policy.name, remembered=len(stream.window))
