"""The sync process: builds its parts, connects them, runs one loop for each thing that may hang on its own."""

import base64
import binascii
import os
import threading
from collections import deque
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge
from pydantic import ValidationError

from skerry_api.kinds import ASSIGNMENT_NAME, GRANT_KEY, GRANT_SECRET
from skerry_api.v1alpha1.runtimenode import DiskUsage
from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_core.errors import RetryError, WaitError
from skerry_edge.delivery.activation import read_activation
from skerry_edge.delivery.blobs import BlobFolder
from skerry_edge.delivery.delivery import Delivery, Demand
from skerry_edge.events.segment import segment_firsts
from skerry_edge.sync.assignment import AssignmentKeeper
from skerry_edge.sync.batching import depth
from skerry_edge.sync.grant import GrantKeeper
from skerry_edge.sync.health import HealthServer
from skerry_edge.sync.inference_api import InferenceApi, InferenceStatus
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.local_api import ASSIGNMENTS, SECRETS, LocalApi, Object
from skerry_edge.sync.node_reporter import NodeReporter
from skerry_edge.sync.report import Cause, Facts, standing
from skerry_edge.sync.settings import Settings
from skerry_edge.sync.supervisor import Loop, Supervisor
from skerry_edge.sync.upload import Uploader

# Between a watch that the server ended and the next one.
_BETWEEN_WATCHES = timedelta(seconds=1)


class Sync:
    """Everything that sync does on one node. Reads the disk when built, and the network only once started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._layout = layout = Layout(settings.root)
        registry = CollectorRegistry()
        _prepare(layout)
        self._assignment = AssignmentKeeper(
            layout.assignment, layout.restrictions, settings.trust / "hub.pub", settings.site
        )
        self._grant = GrantKeeper(layout.grant, settings.site)
        self._assignment.read()
        self._grant.read()
        self._api = LocalApi(settings.api_server, settings.credentials)
        self._inference = InferenceApi(settings.inference_status)
        self._delivery = Delivery(
            BlobFolder(layout.blobs),
            layout.downloads,
            self._demand,
            lambda digest, start, limit: self._grant.store().get(digest, start, limit),
            lambda: self._delivering.woken,
            registry,
        )
        self._uploader = Uploader(layout, settings.node, self._grant.store, registry)
        reporter = NodeReporter(
            self._ask_inference, self._facts, lambda status: self._api.write_node_status(settings.node, status)
        )
        self._depth = Gauge("skerry_sync_queue_depth", "Records that wait for upload.", registry=registry)
        self._depths: deque[tuple[datetime, int]] = deque(maxlen=60)
        self._delivering = Loop("delivery", self._delivery.step)
        self._uploading = Loop("upload", self._uploader.step)
        self._supervisor = Supervisor(
            (
                self._delivering,
                self._uploading,
                Loop("assignment", self._follow_assignment),
                Loop("grant", self._follow_grant),
                Loop("report", reporter.step),
            ),
            registry,
        )
        self.health = HealthServer(("", settings.health_port), registry)

    def start(self) -> None:
        """Start all loops and answer probes; the disk has been read, so this node is ready."""
        self._supervisor.start()
        self.health.ready.set()
        self.health.start()

    def stop(self) -> None:
        """Ask all loops to end."""
        self._supervisor.stop()
        self.health.stop()

    def _demand(self) -> Demand:
        return Demand(self._assignment.document, self._assignment.quarantined, read_activation(self._layout.activation))

    def _follow_assignment(self) -> timedelta:
        self._api.follow(ASSIGNMENTS, ASSIGNMENT_NAME, self._mirror_seen)
        return _BETWEEN_WATCHES

    def _mirror_seen(self, mirror: Object) -> None:
        """Take from the mirror what may be taken: restrictions as they are, the envelope if it verifies.

        Restrictions first: a release must not run for the moment between the two.
        """
        try:
            status = SiteAssignmentStatus.model_validate(mirror.get("status") or {})
            envelope = str(mirror["spec"]["envelope"])
        except (ValidationError, KeyError, TypeError) as error:
            raise RetryError("MirrorMalformed", f"the local SiteAssignment can't be read: {error}") from error
        restricted = self._assignment.restrict(
            {f"{model.namespace}/{model.model}": model.quarantined for model in status.models}
        )
        if self._assignment.offer(envelope) or restricted:
            self._delivery.retry_now()
            self._delivering.wake()

    def _follow_grant(self) -> timedelta:
        self._api.follow(SECRETS, GRANT_SECRET, self._grant_seen)
        return _BETWEEN_WATCHES

    def _grant_seen(self, secret: Object) -> None:
        try:
            data = base64.b64decode(secret["data"][GRANT_KEY], validate=True)
        except (KeyError, TypeError, binascii.Error) as error:
            raise WaitError("GrantMalformed", f"Secret {GRANT_SECRET} holds no {GRANT_KEY}") from error
        if self._grant.offer(data):
            self._delivery.retry_now()
            self._delivering.wake()
            self._uploading.wake()

    def _ask_inference(self) -> InferenceStatus:
        """Read inference's status; if it found a blob damaged, have delivery find out which and fetch it again."""
        status = self._inference.status()
        if status.finds_damage and self._delivery.doubt():
            self._delivering.wake()
        return status

    def _facts(self, inference: InferenceStatus | None) -> Facts:
        now = datetime.now(UTC)
        document, failure = self._assignment.document, self._uploader.failure
        refusal = self._assignment.refusal
        causes = [] if refusal is None else [Cause(refusal.reason, str(refusal))]
        if inference is not None and inference.refusal is not None:
            causes.append(Cause(inference.refusal.reason, inference.refusal.message))
        volume = os.statvfs(self._settings.root)
        if inference is not None and inference.log is not None and self._layout.log.is_dir():
            waiting = depth(segment_firsts(self._layout.log), inference.log.next_seq, self._uploader.uploaded)
            self._depth.set(waiting)
            self._depths.append((now, waiting))
        return Facts(
            site=self._settings.site,
            accepted=None if document is None else document.serial,
            serial=None if inference is None else inference.observed_serial,
            models=None if inference is None else inference.models,
            resident=() if inference is None else inference.resident,
            refusal=next(iter(causes), None),
            pending=self._delivery.pending,
            upload=None if failure is None else Cause(failure.reason, str(failure)),
            disk=DiskUsage(capacity=volume.f_blocks * volume.f_frsize, free=volume.f_bavail * volume.f_frsize),
            queue_depth=standing(self._depths, now),
        )


def run(settings: Settings, stop: threading.Event) -> None:
    """Run until `stop` is set."""
    sync = Sync(settings)
    sync.start()
    stop.wait()
    sync.stop()


def _prepare(layout: Layout) -> None:
    """Make sync's own folders, and remove what a killed write left."""
    for folder in (layout.assignment.parent, layout.grant.parent):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
