"""The inference process put together: parts in, three ports out, drained on SIGTERM."""

import asyncio
import os
import signal
import sys

import structlog

from skerry_api.v1alpha1.syncpolicy import DRIFT, PREDICTIONS, ROLLBACKS
from skerry_core.sync_policy.defaults import BUILT_IN_STREAMS
from skerry_core.verdict.thresholds import judge
from skerry_edge.events.identity import Owner
from skerry_edge.events.keeper import LogKeeper
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features.clock import Clock
from skerry_edge.features.metrics import FeatureCollector
from skerry_edge.http.server import BodyBudget, HttpServer
from skerry_edge.inference.activator import Activator
from skerry_edge.inference.authority import Authority, load_anchors
from skerry_edge.inference.clock import steady_clock
from skerry_edge.inference.config import Config
from skerry_edge.inference.drift.assembly import make_watcher
from skerry_edge.inference.features import Needed, make_features
from skerry_edge.inference.intent import IntentFile, boot_id
from skerry_edge.inference.kept import KeptFiles
from skerry_edge.inference.labels import make_labels
from skerry_edge.inference.loader import Loader
from skerry_edge.inference.metrics import Metrics
from skerry_edge.inference.oip.service import OipService, error_body
from skerry_edge.inference.onnx_backend import OnnxBackend
from skerry_edge.inference.prediction import Predictor
from skerry_edge.inference.quarantine import QuarantineFile
from skerry_edge.inference.report import Reporter
from skerry_edge.inference.rollbacks import RollbackLog
from skerry_edge.inference.routing import Routes
from skerry_edge.inference.site_policy import SitePolicy
from skerry_edge.inference.status_service import StatusService, plain_error
from skerry_edge.inference.store_folder import StoreFolder
from skerry_edge.inference.workers import Workers
from skerry_edge.ingest.ingest import Ingest
from skerry_edge.lineage.node import NodeLineage
from skerry_edge.telemetry.error_classes import ErrorClasses

HOST = "0.0.0.0"  # noqa: S104 - a pod's address isn't known beforehand
# A canary's request waits in its thread for the challenger, so there are more threads than cores.
_THREADS = max(4, 2 * (os.cpu_count() or 1))
_MAX_PENDING = 256
# Less than Kubernetes' 30 s between SIGTERM and SIGKILL.
_DRAIN_SECONDS = 10.0

# A thread that parses events gives the interpreter up after this long to one that waits to answer a request, instead of
# after 5 ms: with event ingest at its limit, the 99th percentile of inference was a third of what it was.
SWITCH_SECONDS = 0.0005

_log = structlog.get_logger(__name__)


async def serve(config: Config, errors: ErrorClasses) -> None:
    """Run until SIGTERM or SIGINT; raises SkerryError or OSError if it can't start. `errors` counts what is logged."""
    sys.setswitchinterval(SWITCH_SECONDS)
    state = config.state
    state.mkdir(parents=True, exist_ok=True)
    boot = boot_id()
    store = StoreFolder(config.store)
    anchors = load_anchors(config.trust_dir)
    logs = EventLogs(state / "log", Owner(config.site, config.node, boot), fence=config.store / "log-fence.json")
    predictions, rollbacks, drift = (logs.open(_settings(name)) for name in (PREDICTIONS, ROLLBACKS, DRIFT))
    keeper = LogKeeper(logs)
    metrics = Metrics(logs, errors)
    routes = Routes()
    authority = Authority(anchors, config.site, store, state)
    clock, needed = Clock(), Needed(authority)
    policy = SitePolicy(
        config.store / "blobs",
        lambda: authority.document.sync_policy if authority.document is not None else None,
        state / "sync_policy",
    )
    features = make_features(config, boot, logs, store, needed, policy.current, clock)
    metrics.registry.register(FeatureCollector(features, clock))
    labels = make_labels(config, logs, authority, store, metrics.registry)
    activator = Activator(
        store=store,
        authority=authority,
        loader=Loader(store, anchors.verifier, OnnxBackend(), features.standing),
        judge=judge,
        kept=KeptFiles(state / "activation"),
        quarantine=QuarantineFile(state / "quarantine.json"),
        intent=IntentFile(state / "intent.json", boot),
        routes=routes,
        steady=steady_clock(),
        put_aside=RollbackLog(rollbacks, metrics).put_aside,
        warm=features.warm,
        labelled=labels.labelled,
    )
    needed.activator = activator
    sampler, watcher = make_watcher(
        state / "drift",
        store=store,
        routes=routes,
        activator=activator,
        log=drift,
        registry=metrics.registry,
        now=steady_clock(),
    )
    predictor = Predictor(config.site, config.node, predictions, metrics, features, sampler, policy.payloads)
    workers = Workers("inference", threads=_THREADS, pending=_MAX_PENDING)
    stop = asyncio.Event()

    def ready() -> bool:
        return activator.ready and not stop.is_set()

    bodies = BodyBudget()
    oip = HttpServer(OipService(routes, predictor, workers, metrics, ready).handle, error_body, bodies)
    reporter = Reporter(config.site, config.node, activator, predictor, logs, store, watcher.report)
    lineage = NodeLineage(config.site, config.node, state / "log", store.blob)
    status = StatusService(
        reporter, metrics, alive=lambda: activator.alive, ready=ready, features=features, lineage=lineage
    )
    own = HttpServer(status.handle, plain_error, bodies)
    ingest = Ingest(
        config.site,
        config.node,
        logs=logs,
        state=state,
        broker=config.mqtt_dir,
        producers=config.producers_dir,
        devices=config.devices_dir,
        inbox=store.inbox,
        policy=policy.current,
        registry=metrics.registry,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    activator.start()
    features.start()
    labels.start()
    keeper.start()
    watcher.start()
    http_port = await oip.start(HOST, config.http_port)
    status_port = await own.start(HOST, config.status_port)
    ingest.start(HOST, config.events_port)
    _log.info("serving", site=config.site, node=config.node, http_port=http_port, status_port=status_port)
    await stop.wait()
    _log.info("draining")
    await asyncio.gather(oip.stop(_DRAIN_SECONDS), ingest.stop(_DRAIN_SECONDS))
    for end in (watcher.stop, activator.stop, features.stop, labels.stop, keeper.stop, logs.close):
        await asyncio.to_thread(end)
    await own.stop(1.0)
    _log.info("stopped")


def _settings(stream: str) -> StreamSettings:
    policy = BUILT_IN_STREAMS[stream]
    return StreamSettings(stream, policy.tier.rank, policy.max_age, policy.max_bytes)
