"""Event ingest put together: a port's handler, broker sessions, and one thread that follows policy and broker files."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import CONSENT, DEAD_LETTER, DRIFT, PREDICTIONS, ROLLBACKS
from skerry_core.errors import SkerryError
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.settings import StreamSettings
from skerry_edge.http.server import BodyBudget, HttpServer
from skerry_edge.inference.workers import Workers
from skerry_edge.ingest.dead_letters import DeadLetters
from skerry_edge.ingest.dedup_watch import DedupWatch
from skerry_edge.ingest.devices_keeper import DevicesKeeper
from skerry_edge.ingest.intake import Intake
from skerry_edge.ingest.limits import MAX_HELD_BYTES, MAX_REQUEST_BYTES
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.mqtt.subscribers import Subscribers
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.ingest.producers_keeper import ProducersKeeper
from skerry_edge.ingest.redaction import Redactor
from skerry_edge.ingest.relay import ConsentRelay
from skerry_edge.ingest.service import EventService, error_body
from skerry_edge.ingest.streams import Streams
from skerry_edge.telemetry.lag import MeasuredLogs

_OWN_STREAMS = (DEAD_LETTER, DRIFT, PREDICTIONS, ROLLBACKS)
# They mostly wait for the disk, each for a share of one group commit.
_THREADS = 16
_MAX_PENDING = 128
_TICK_SECONDS = 1.0
_LISTEN_AGAIN_SECONDS = 5.0
_STOP_SECONDS = 5.0

_log = structlog.get_logger(__name__)


def wall_micros() -> int:
    """The node's clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Ingest:
    """Takes events in for one node. Nothing of it can keep the process from serving models."""

    def __init__(
        self,
        site: str,
        node: str,
        *,
        logs: EventLogs,
        state: Path,
        broker: Path,
        producers: Path,
        devices: Path,
        inbox: Path,
        policy: Callable[[], SyncPolicyDocument],
        registry: CollectorRegistry,
        clock: Callable[[], int] = wall_micros,
    ) -> None:
        """`state` is the folder that only this process writes; `broker`, `producers` and `devices` have files on these.

        `inbox` is the file by which sync tells what other nodes were told of consent.

        `policy` gives the SyncPolicy in force, and is asked about once a second.
        """
        self._policy = policy
        self._logs = logs
        metrics = IngestMetrics(registry)
        node_time = NodeTime(clock)
        self._dead_letters = DeadLetters(node_time, time.monotonic, metrics.dead_letters_lost.inc)
        self._redactor = Redactor(logs, state / "consent.json", inbox, policy, metrics)
        intake = Intake(self._dead_letters, metrics, self._redactor.notify)
        self._devices = DevicesKeeper(devices, state / "devices.json", metrics)
        measured = MeasuredLogs(logs, registry, clock)
        self._dedup = DedupWatch(metrics)
        self._streams = Streams(measured, node_time, time.monotonic, self._devices.stored)
        self._relay = ConsentRelay(inbox, lambda: self._streams.find(CONSENT), self._redactor.notify)
        self._subscribers = Subscribers(broker, site, node, intake=intake, metrics=metrics, clock=clock)
        self._workers = Workers("ingest", threads=_THREADS, pending=_MAX_PENDING)
        self._producers = ProducersKeeper(producers, state / "producers.json")
        service = EventService(self._streams, intake, self._workers, metrics, self._producers.admit)
        # A budget of its own: bodies of events never take room from those of inference.
        self._server = HttpServer(service.handle, error_body, BodyBudget(MAX_HELD_BYTES), max_body=MAX_REQUEST_BYTES)
        self.port: int | None = None
        self._listening: asyncio.Task[None] | None = None
        self._applied: SyncPolicyDocument | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="ingest", daemon=True)

    def start(self, host: str, port: int) -> None:
        """Open streams, listen and go to the broker, each as soon as it can be done; called in the event loop."""
        self._thread.start()
        self._redactor.start()
        self._listening = asyncio.create_task(self._listen(host, port))

    async def stop(self, grace: float) -> None:
        """Take nothing more in; requests under way have `grace` seconds."""
        if self._listening is not None:
            self._listening.cancel()
        self._stopping.set()
        await self._server.stop(grace)
        await asyncio.to_thread(self._stop_threads)

    def _stop_threads(self) -> None:
        self._thread.join(timeout=_STOP_SECONDS)
        self._subscribers.stop()
        self._redactor.stop()
        self._workers.stop()

    async def _listen(self, host: str, port: int) -> None:
        """A port that is taken must not keep this process from serving models."""
        while True:
            try:
                self.port = await self._server.start(host, port)
            except OSError as error:
                _log.error("events port can't be opened", port=port, error=str(error))
                await asyncio.sleep(_LISTEN_AGAIN_SECONDS)
            else:
                _log.info("taking events", events_port=self.port)
                return

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._tick()
            except Exception:  # noqa: BLE001 - a bug here must not end ingest for good
                _log.exception("policy or broker can't be followed")
            self._stopping.wait(_TICK_SECONDS)

    def _tick(self) -> None:
        self._producers.look()
        self._devices.look()
        policy = self._policy()
        if policy is not self._applied and self._apply(policy):
            self._applied = policy
            self._redactor.notify()
        streams = self._streams.open_streams()
        self._subscribers.apply(streams)
        self._dedup.look(streams)
        self._relay.look()

    def _apply(self, policy: SyncPolicyDocument) -> bool:
        """Go by a policy, also where this process writes itself; whether all of it is done."""
        done = True
        for name in _OWN_STREAMS:
            own = policy.stream(name)
            if own is None:
                continue
            try:
                log = self._logs.open(StreamSettings(own.name, own.tier.rank, own.max_age, own.max_bytes))
            except (OSError, SkerryError) as error:
                done = False
                _log.warning("stream can't be opened", stream=name, error=str(error)[:300])
            else:
                if name == DEAD_LETTER:
                    self._dead_letters.log = log
        return self._streams.apply(policy) and done
