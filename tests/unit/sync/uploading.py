"""One node's uploader put together over a volume and a store in memory, with a policy that a test may set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.features.needed import read_needed
from skerry_edge.inference.intent import boot_id
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.outbound.outbound import Outbound
from skerry_edge.sync.resend import Resends
from skerry_edge.sync.retire import Retirement
from skerry_edge.sync.schedule.plan import LINGER, Lane, Wait
from skerry_edge.sync.scheduler import Scheduler
from skerry_edge.sync.steady import Steady
from skerry_edge.sync.traffic import Traffic
from skerry_edge.sync.upload import PERIODS, Uploader
from tests.unit.sync.logs import NODE, SITE, Id, Log, Outbox, stored

if TYPE_CHECKING:
    from pathlib import Path

    from skerry_core.sync_policy.document import SyncPolicyDocument


class Metered(Outbox):
    """A store whose exchanges take bytes beside the data, told to the node's traffic as its connections would."""

    beside = 500

    def __init__(self, listed: int = 1000):
        super().__init__(listed)
        self.traffic: Traffic | None = None

    def upload(self, key: str, data: bytes) -> None:
        assert self.traffic is not None
        self.traffic.sent(self.beside + len(data))
        super().upload(key, data)

    def _list(self, prefix: str):
        assert self.traffic is not None
        self.traffic.received(self.beside)
        return super()._list(prefix)


class Node:
    """A volume with its logs, a store, and sync's uploading; time passes only by `later`."""

    def __init__(self, root: Path, outbox: Metered | None = None, policy: SyncPolicyDocument = DEFAULT_POLICY):
        self.layout = Layout(root)
        self.layout.own_log.mkdir(parents=True, exist_ok=True)
        self.layout.fence.parent.mkdir(parents=True, exist_ok=True)
        self.policy, self.metered = policy, False
        self.outbox = outbox or Metered()
        self.now = 1000.0
        self.log = Log(root)
        self.logs = [self.log]
        self.restart()

    def open(self, stream: str, **options) -> Log:
        log = Log(self.layout.root, stream, **options)
        self.logs.append(log)
        return log

    def restart(self) -> None:
        """Everything of sync anew, from the disk."""
        registry = CollectorRegistry()
        self.traffic = self.outbox.traffic = Traffic(
            self.layout.traffic, lambda noted: Steady("boot", lambda: self.now, lambda: self.now, noted), registry
        )
        self.scheduler = Scheduler(lambda: self.policy, self.traffic, lambda: self.metered)
        outbound = Outbound(self.layout.grant.parent, self.layout.root / "salt", self.layout.log / "consent", registry)
        outbound.adopt(self.policy)
        self.uploader = Uploader(
            self.layout,
            SITE,
            lambda: self.outbox,
            lambda: self.policy,
            outbound.rows,
            self.scheduler,
            self.traffic,
            registry,
            boot_id=boot_id(),
        )
        self.resends = Resends(SITE, NODE, lambda: self.outbox, self.uploader, self.scheduler)
        self.retirement = Retirement(
            self.layout,
            self.uploader.outgoing,
            self.uploader.notes,
            lambda: self.policy,
            list,
            lambda: read_needed(self.layout.features),
            registry,
        )
        self.registry = registry

    def later(self, seconds: float) -> None:
        self.now += seconds

    def step(self, lane: Lane = Lane.SHARED) -> None:
        """One step, after what little may wait for company has waited."""
        self.uploader.queues(lane)
        self.later(LINGER)
        self.uploader.step(lane)

    def drain(self) -> None:
        """Send all that may go now, and what little only waits for company."""
        for lane in Lane:
            quiet = 0
            for _ in range(1000):
                quiet = quiet + 1 if self.uploader.step(lane) == PERIODS[lane] else 0
                if quiet > 2:
                    break
                if quiet:
                    self.later(LINGER)
            else:
                raise AssertionError("there is no end of it")

    def idle(self, lane: Lane = Lane.SHARED) -> bool:
        queues = tuple(queue for _, queue in self.uploader.queues(lane).values())
        return isinstance(self.scheduler.upload(queues, lane), Wait)

    def close(self) -> None:
        for log in self.logs:
            log.close()

    @property
    def stored(self) -> list[Id]:
        return stored(self.outbox.objects)

    @property
    def appended(self) -> list[Id]:
        return [record for log in self.logs for record in log.appended]
