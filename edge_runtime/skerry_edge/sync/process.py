"""The sync process: builds its parts, connects them, runs one loop for each thing that may hang on its own."""

import base64
import binascii
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

from skerry_api.kinds import ASSIGNMENT_NAME, GRANT_KEY, GRANT_SECRET
from skerry_api.v1alpha1.runtimenode import DiskUsage
from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_api.v1alpha1.syncpolicy import AGGREGATES, ALERTS, ROLLUPS
from skerry_core.errors import RetryError, WaitError
from skerry_core.sync_policy.defaults import BUILT_IN_STREAMS, MAX_AGE
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.delivery.activation import read_activation
from skerry_edge.delivery.blobs import BlobFolder
from skerry_edge.delivery.delivery import Delivery, Demand
from skerry_edge.events.expiry import uptime_ms
from skerry_edge.events.identity import Owner
from skerry_edge.events.keeper import LogKeeper
from skerry_edge.events.log import StreamLog
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features.needed import read_needed
from skerry_edge.inference.intent import boot_id
from skerry_edge.sync.alerts.derivation import Alerts
from skerry_edge.sync.assignment import AssignmentKeeper
from skerry_edge.sync.backlog import Backlog
from skerry_edge.sync.download_gate import DownloadGate
from skerry_edge.sync.grant import GrantKeeper
from skerry_edge.sync.health import HealthServer
from skerry_edge.sync.inference_api import InferenceApi, InferenceStatus
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.local_api import ASSIGNMENTS, SECRETS, LocalApi, Object
from skerry_edge.sync.metered import MeteredFlag
from skerry_edge.sync.neighbours.fetching import Neighbours
from skerry_edge.sync.neighbours.offers import Offers
from skerry_edge.sync.node_reporter import NodeReporter
from skerry_edge.sync.outbound.aggregates.derivation import Aggregates
from skerry_edge.sync.outbound.deriving import DerivingLoop
from skerry_edge.sync.outbound.outbound import Outbound
from skerry_edge.sync.outbound.rollups.loop import Destination, RollupLoop
from skerry_edge.sync.outbound.salt import load_salt
from skerry_edge.sync.policy_keeper import PolicyKeeper
from skerry_edge.sync.relay.relay import Relay
from skerry_edge.sync.report import Cause, Facts
from skerry_edge.sync.resend import Resends
from skerry_edge.sync.retire import Retirement
from skerry_edge.sync.schedule.plan import Lane
from skerry_edge.sync.scheduler import Scheduler
from skerry_edge.sync.settings import Settings
from skerry_edge.sync.steady import Steady
from skerry_edge.sync.supervisor import Loop, Supervisor
from skerry_edge.sync.telemetry import NodeTelemetry
from skerry_edge.sync.traffic import LOCAL, METRICS, OnePurpose, Traffic
from skerry_edge.sync.upload import Uploader
from skerry_edge.telemetry.error_classes import ErrorClasses

# Between a watch that the server ended and the next one.
_BETWEEN_WATCHES = timedelta(seconds=1)


class Sync:
    """Everything that sync does on one node. Reads the disk when built, and the network only once started."""

    def __init__(self, settings: Settings, errors: ErrorClasses) -> None:
        """`errors` counts what this process logs. Raises SkerryError and OSError if the disk can't be read."""
        self._settings = settings
        self._layout = layout = Layout(settings.root)
        self._registry = registry = CollectorRegistry()
        _prepare(layout)
        self._boot = boot_id()
        self._traffic = Traffic(
            layout.traffic, lambda noted: Steady(self._boot, lambda: uptime_ms() / 1000, time.time, noted), registry
        )
        self._assignment = AssignmentKeeper(
            layout.assignment, layout.restrictions, settings.trust / "hub.pub", settings.site
        )
        self._grant = GrantKeeper(layout.grant, settings.site, self._traffic)
        self._assignment.read()
        self._grant.read()
        self._api = LocalApi(settings.api_server, settings.credentials, self._traffic)
        self._inference = InferenceApi(settings.inference_status)
        self._policy = PolicyKeeper(layout.blobs, self._policy_digest, layout.policy)
        self._scheduler = Scheduler(self._in_force, self._traffic, MeteredFlag(layout.link, default=settings.metered))
        self._delivery = self._make_delivery()
        self._logs = EventLogs(layout.own_log, Owner(settings.site, settings.node, self._boot), fence=layout.fence)
        self._keeper = LogKeeper(self._logs)
        self._outbound = Outbound(layout.grant.parent, settings.site_salt, layout.log / "consent", registry)
        self._policy.tell(self._outbound.adopt)
        self._relay = Relay(
            settings.site,
            settings.node,
            layout,
            self._outbound.consent,
            self._outbound.relay_key,
            self._oldest,
            registry,
        )
        deriving = self._make_deriving()
        self._telemetry = NodeTelemetry(
            site=settings.site,
            node=settings.node,
            root=settings.root,
            boot=self._boot,
            logs=self._logs,
            inference=self._inference,
            registry=registry,
            errors=errors,
            environment=os.environ,
            meter=OnePurpose(self._traffic, METRICS),
        )
        self._policy.tell(self._telemetry.adopt)
        self._uploader = Uploader(
            layout,
            settings.site,
            self._grant.store,
            self._in_force,
            self._outbound.rows,
            self._scheduler,
            self._traffic,
            registry,
            boot_id=self._boot,
        )
        self._backlog = Backlog(self._uploader, self._scheduler, self._in_force, registry)
        retirement = Retirement(
            layout,
            self._uploader.outgoing,
            self._uploader.notes,
            self._in_force,
            lambda: [self._outbound.held(), self._relay.held(), *(loop.held() for loop in deriving.values())],
            lambda: read_needed(layout.features),
            registry,
        )
        resends = Resends(settings.site, settings.node, self._grant.store, self._uploader, self._scheduler)
        snapshots = load_salt(layout.grant.parent / "salt", settings.site_salt).key("snapshots")
        transfers = Counter(
            "skerry_sync_feature_snapshots_total",
            "Snapshots of features that other nodes got from here (Sent), or that this one got, or failed to.",
            ["outcome"],
            registry=registry,
        )
        self._offers = Offers(layout.features, snapshots, self._traffic, transfers)
        neighbours = Neighbours(
            layout,
            self._api,
            self._traffic,
            transfers,
            site=settings.site,
            node=settings.node,
            key=snapshots,
        )
        reporter = NodeReporter(
            self._ask_inference, self._facts, lambda status: self._api.write_node_status(settings.node, status)
        )
        self._delivering = Loop("delivery", self._delivery.step)
        self._uploading = Loop("upload", lambda: self._uploader.step(Lane.SHARED))
        self._express = Loop("express", lambda: self._uploader.step(Lane.EXPRESS))
        self._policy.step()
        self._supervisor = Supervisor(
            (
                self._delivering,
                self._uploading,
                self._express,
                Loop("resend", resends.step),
                Loop("retire", retirement.step),
                Loop("policy", self._policy.step),
                Loop("traffic", self._flush),
                Loop("assignment", self._local(self._follow_assignment)),
                Loop("grant", self._local(self._follow_grant)),
                Loop("consent", self._relay.step),
                Loop("nodes", self._local(self._follow_nodes)),
                Loop("report", self._local(reporter.step)),
                Loop("neighbours", neighbours.step),
                *(Loop(name, loop.step) for name, loop in deriving.items()),
                *self._telemetry.loops,
            ),
            registry,
        )
        self.health = HealthServer(("", settings.health_port), registry, self._offers.sealed)

    def start(self) -> None:
        """Start all loops and answer probes; the disk has been read, so this node is ready."""
        self._keeper.start()
        self._supervisor.start()
        self.health.ready.set()
        self.health.start()

    def stop(self) -> None:
        """Ask all loops to end."""
        self._supervisor.stop()
        self.health.stop()
        self._telemetry.close()
        self._keeper.stop()
        self._logs.close()
        with suppress(OSError):  # what was counted since the last minute is only told, never relied upon
            self._traffic.flush()

    def _make_delivery(self) -> Delivery:
        return Delivery(
            BlobFolder(self._layout.blobs),
            self._layout.downloads,
            self._demand,
            lambda digest, start, limit, end: self._grant.store().get(digest, start, limit, end),
            DownloadGate(self._scheduler, self._traffic),
            lambda: self._delivering.woken,
            self._registry,
        )

    def _make_deriving(self) -> dict[str, DerivingLoop[Any] | RollupLoop]:
        """The loops that follow logs and write what they make of them to logs of sync's own, by name."""
        notes, roots = self._layout.grant.parent, (self._layout.log, self._layout.own_log)
        alerts = DerivingLoop(
            Alerts(self._registry), notes / "alerts.json", roots, self._outbound, self._open_log(ALERTS)
        )
        aggregates = DerivingLoop(
            Aggregates(self._outbound.rules, lambda: self._outbound.consents(datetime.now(UTC)), self._registry),
            notes / "aggregates.json",
            roots,
            self._outbound,
            self._open_log(AGGREGATES),
        )
        rollups = RollupLoop(notes / "rollups.note", roots, self._outbound, self._rollups_log(), self._registry)
        self._policy.tell(alerts.adopt)
        self._policy.tell(aggregates.adopt)
        self._policy.tell(rollups.adopt)
        return {"alerts": alerts, "aggregates": aggregates, "rollups": rollups}

    def _rollups_log(self) -> Destination:
        log = self._open_log(ROLLUPS)
        return Destination(
            log,
            lambda matches: self._logs.redact(ROLLUPS, matches),
            lambda: self._uploader.notes.of(log.epoch),
        )

    def _open_log(self, name: str) -> StreamLog:
        """Open a log of sync's own; its limits follow the policy."""

        def adopt(document: SyncPolicyDocument) -> None:
            stream = document.stream(name) or BUILT_IN_STREAMS[name]
            self._logs.open(StreamSettings(name, stream.tier.rank, stream.max_age, stream.max_bytes))

        self._policy.tell(adopt)
        stream = BUILT_IN_STREAMS[name]
        return self._logs.open(StreamSettings(name, stream.tier.rank, stream.max_age, stream.max_bytes))

    def _in_force(self) -> SyncPolicyDocument:
        return self._policy.document

    def _policy_digest(self) -> str | None:
        document = self._assignment.document
        return None if document is None else document.sync_policy

    def _local(self, step: Callable[[], timedelta]) -> Callable[[], timedelta]:
        """The step, what it sends and receives counted as not leaving the site."""

        def counted() -> timedelta:
            with self._traffic.exchange(LOCAL):
                return step()

        return counted

    def _flush(self) -> timedelta:
        self._traffic.show(self._in_force())
        return self._traffic.flush()

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

    def _follow_nodes(self) -> timedelta:
        self._api.follow_nodes(self._relay.listed, self._relay.seen)
        return _BETWEEN_WATCHES

    def _oldest(self) -> timedelta:
        """How old a record here can be."""
        return max((stream.max_age for stream in self._in_force().streams), default=MAX_AGE)

    def _follow_grant(self) -> timedelta:
        self._api.follow(SECRETS, GRANT_SECRET, self._grant_seen)
        return _BETWEEN_WATCHES

    def _grant_seen(self, secret: Object) -> None:
        try:
            data = base64.b64decode(secret["data"][GRANT_KEY], validate=True)
        except (KeyError, TypeError, binascii.Error) as error:
            raise WaitError("GrantMalformed", f"Secret {GRANT_SECRET} holds no {GRANT_KEY}") from error
        if self._grant.offer(data):
            self._scheduler.retry_now()
            self._delivery.retry_now()
            for loop in (self._delivering, self._uploading, self._express):
                loop.wake()

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
        self._backlog.look(now)
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
            queue_depth=self._backlog.depth(now),
            queues=self._backlog.queues(now),
            address=self._settings.address,
            snapshots=self._offers.current(now) if self._settings.address else (),
            consent=self._relay.said,
        )


def run(settings: Settings, stop: threading.Event, errors: ErrorClasses) -> None:
    """Run until `stop` is set. Raises SkerryError and OSError if it can't start."""
    sync = Sync(settings, errors)
    sync.start()
    stop.wait()
    sync.stop()


def _prepare(layout: Layout) -> None:
    """Make sync's own folders, and remove what a killed write left."""
    for folder in (layout.assignment.parent, layout.grant.parent, layout.own_log, layout.neighbours):
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):
            leftover.unlink()
