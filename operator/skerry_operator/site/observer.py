"""Every few seconds: look at the nodes, merge what they say, write the mirror's status, hand it to the link."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from skerry_api.kinds import ASSIGNMENT_NAME, RUNTIME_NAMESPACE
from skerry_api.v1alpha1.runtimenode import RuntimeNodeStatus
from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_core.assignment.document import AssignmentDocument
from skerry_core.errors import SkerryError
from skerry_core.verdict.port import Judge
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.resources import PODS, RUNTIME_NODES, SITE_ASSIGNMENTS
from skerry_operator.link.health import LinkHealth
from skerry_operator.link.outbox import Outbox
from skerry_operator.site.merge import SiteView
from skerry_operator.site.names import RUNTIME
from skerry_operator.site.nodes import RuntimePod, node_views, runtime_pods, written_statuses
from skerry_operator.site.runtime import Runtime
from skerry_operator.site.scrape import Scraper
from skerry_operator.site.status import Circumstances, site_status
from skerry_operator.site.views import NodeView

_log = structlog.get_logger()

PERIOD_SECONDS = 3.0
# Somebody may have edited the DaemonSet.
_REAPPLY_EVERY = timedelta(minutes=1)
# Counters alone are written this often: a site's API server may live on an SD card.
_WRITE_COUNTERS_EVERY = timedelta(seconds=30)


@dataclass(frozen=True)
class Mirror:
    """The local SiteAssignment as last seen: what it says, and why it can't be followed if it can't."""

    generation: int
    document: AssignmentDocument | None
    trouble: SkerryError | None
    status: SiteAssignmentStatus


@dataclass
class _Memory:
    """What a local API server that is away leaves us to go on with; and when we did what costs it something."""

    mirror: Mirror | None = None
    pods: tuple[RuntimePod, ...] = ()
    written: dict[str, RuntimeNodeStatus] = field(default_factory=dict)
    applied: AssignmentDocument | None = None
    applied_at: datetime | None = None
    written_at: datetime | None = None
    reasons: set[str] = field(default_factory=set)


class Observer:
    """One site's round of observation, in a thread of its own."""

    def __init__(
        self,
        kube: KubeApi,
        runtime: Runtime,
        scraper: Scraper,
        outbox: Outbox,
        health: LinkHealth,
        *,
        site: str,
        version: str,
        judge: Judge,
    ) -> None:
        self._kube = kube
        self._runtime = runtime
        self._scraper = scraper
        self._outbox = outbox
        self._health = health
        self._site = site
        self._version = version
        self._judge = judge
        self._memory = _Memory()
        self._awake = threading.Event()

    def wake(self) -> None:
        """Have the next round begin now; safe to call from any thread."""
        self._awake.set()

    def run(self, stop: threading.Event) -> None:
        """Observe until `stop` is set, which is noticed within one period."""
        while not stop.is_set():
            self._awake.wait(PERIOD_SECONDS)
            self._awake.clear()
            try:
                self.observe(datetime.now(UTC))
            except Exception:  # noqa: BLE001 - a fault of ours must not end observation for good
                _log.exception("observation failed")

    def observe(self, now: datetime) -> SiteAssignmentStatus | None:
        """One round; the site's status, or None before the first assignment."""
        self._tolerate("mirror", self._look)
        mirror = self._memory.mirror
        if mirror is None:
            return None
        trouble = mirror.trouble or self._tolerate("runtime", lambda: self._reapply(mirror, now))
        view = SiteView(
            site=self._site,
            document=mirror.document,
            nodes=self._views(),
            before=mirror.status.models,
        )
        around = Circumstances(
            generation=mirror.generation,
            link=self._health.state,
            site_version=self._version,
            trouble=trouble,
        )
        status = site_status(view, mirror.status, around, self._judge, now)
        self._memory.mirror = replace(mirror, status=status)
        changed = self._outbox.put(status)
        written_at = self._memory.written_at
        if changed or written_at is None or now - written_at >= _WRITE_COUNTERS_EVERY:
            self._tolerate("status", lambda: self._write(status, now))
        return status

    def _look(self) -> None:
        found = self._kube.get(SITE_ASSIGNMENTS, ASSIGNMENT_NAME, RUNTIME_NAMESPACE)
        if found is not None:
            self._memory.mirror = self._read(found)

    def _read(self, found: dict[str, Any]) -> Mirror:
        before = self._memory.mirror
        document, trouble = (None if before is None else before.document), None
        try:
            document = self._runtime.open(found.get("spec") or {})
        except SkerryError as error:
            # The last one that held goes on deciding what is merged; the refusal is told.
            trouble = error
        return Mirror(
            generation=found["metadata"].get("generation", 0),
            document=document,
            trouble=trouble,
            status=before.status if before is not None else _status(found),
        )

    def _reapply(self, mirror: Mirror, now: datetime) -> None:
        applied_at = self._memory.applied_at
        if mirror.document is None:
            return
        news = mirror.document != self._memory.applied
        if news or applied_at is None or now - applied_at >= _REAPPLY_EVERY:
            self._runtime.apply(mirror.document)
            self._memory.applied, self._memory.applied_at = mirror.document, now

    def _views(self) -> tuple[NodeView, ...]:
        def look() -> None:
            selector = f"app.kubernetes.io/name={RUNTIME}"
            self._memory.pods = runtime_pods(self._kube.list(PODS, RUNTIME_NAMESPACE, selector).items)
            self._memory.written = written_statuses(self._kube.list(RUNTIME_NODES).items)

        self._tolerate("nodes", look)
        pods = self._memory.pods
        scraped = self._scraper.scrape_all(frozenset(pod.address for pod in pods if pod.address))
        return node_views(pods, self._memory.written, scraped)

    def _write(self, status: SiteAssignmentStatus, now: datetime) -> None:
        metadata = {"name": ASSIGNMENT_NAME, "namespace": RUNTIME_NAMESPACE}
        self._kube.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "status": status.to_wire()}, "status")
        self._memory.written_at = now

    def _tolerate(self, what: str, step: Callable[[], None]) -> SkerryError | None:
        """Take a step that may fail for a while; the rest of the round goes on with what is known."""
        try:
            step()
        except SkerryError as error:
            if what not in self._memory.reasons:
                _log.warning("observation is incomplete", step=what, reason=error.reason, message=str(error))
                self._memory.reasons.add(what)
            return error
        self._memory.reasons.discard(what)
        return None


def _status(found: dict[str, Any]) -> SiteAssignmentStatus:
    try:
        return SiteAssignmentStatus.model_validate(found.get("status") or {})
    except ValidationError:
        return SiteAssignmentStatus()
