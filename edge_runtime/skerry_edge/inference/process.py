"""The inference process put together: parts in, two ports out, drained on SIGTERM."""

import asyncio
import os
import signal

import structlog

from skerry_core.verdict.thresholds import judge
from skerry_edge.events.log import open_log
from skerry_edge.inference.activator import Activator
from skerry_edge.inference.authority import Authority, load_anchors
from skerry_edge.inference.clock import steady_clock
from skerry_edge.inference.config import Config
from skerry_edge.inference.http_server import BodyBudget, HttpServer
from skerry_edge.inference.intent import IntentFile, boot_id
from skerry_edge.inference.kept import KeptFiles
from skerry_edge.inference.loader import Loader
from skerry_edge.inference.metrics import Metrics
from skerry_edge.inference.oip.service import OipService, error_body
from skerry_edge.inference.onnx_backend import OnnxBackend
from skerry_edge.inference.prediction import Predictor
from skerry_edge.inference.quarantine import QuarantineFile
from skerry_edge.inference.report import Reporter
from skerry_edge.inference.routing import Routes
from skerry_edge.inference.status_service import StatusService, plain_error
from skerry_edge.inference.store_folder import StoreFolder
from skerry_edge.inference.workers import Workers

HOST = "0.0.0.0"  # noqa: S104 - a pod's address isn't known beforehand
# A canary's request waits in its thread for the challenger, so there are more threads than cores.
_THREADS = max(4, 2 * (os.cpu_count() or 1))
_MAX_PENDING = 256
# Less than Kubernetes' 30 s between SIGTERM and SIGKILL.
_DRAIN_SECONDS = 10.0

_log = structlog.get_logger(__name__)


async def serve(config: Config) -> None:
    """Run until SIGTERM or SIGINT; raises SkerryError or OSError if it can't start."""
    state = config.state
    state.mkdir(parents=True, exist_ok=True)
    boot = boot_id()
    store = StoreFolder(config.store)
    anchors = load_anchors(config.trust_dir)
    log = open_log(state, boot)
    metrics = Metrics(log.status)
    routes = Routes()
    activator = Activator(
        store=store,
        authority=Authority(anchors, config.site, store, state),
        loader=Loader(store, anchors.verifier, OnnxBackend()),
        judge=judge,
        kept=KeptFiles(state / "activation"),
        quarantine=QuarantineFile(state / "quarantine.json"),
        intent=IntentFile(state / "intent.json", boot),
        routes=routes,
        steady=steady_clock(),
    )
    predictor = Predictor(config.site, config.node, log, metrics)
    workers = Workers("inference", threads=_THREADS, pending=_MAX_PENDING)
    stop = asyncio.Event()

    def ready() -> bool:
        return activator.ready and not stop.is_set()

    bodies = BodyBudget()
    oip = HttpServer(OipService(routes, predictor, workers, metrics, ready).handle, error_body, bodies)
    reporter = Reporter(config.site, config.node, activator, predictor, log, store)
    status = StatusService(reporter, metrics, alive=lambda: activator.alive, ready=ready)
    own = HttpServer(status.handle, plain_error, bodies)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    activator.start()
    http_port = await oip.start(HOST, config.http_port)
    status_port = await own.start(HOST, config.status_port)
    _log.info("serving", site=config.site, node=config.node, http_port=http_port, status_port=status_port)
    await stop.wait()
    _log.info("draining")
    await oip.stop(_DRAIN_SECONDS)
    await asyncio.to_thread(activator.stop)
    await asyncio.to_thread(log.close)
    await own.stop(1.0)
    _log.info("stopped")
