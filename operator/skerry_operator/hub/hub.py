"""What every reconcile of the hub works with, made once at the start; no globals."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from skerry_core.store.grant import S3GrantIssuer
from skerry_core.store.port import Store
from skerry_core.trust.policy import PolicyDocument
from skerry_core.trust.verifier import ReleaseVerifier
from skerry_operator.hub.inventory import Inventory, Key
from skerry_operator.hub.published import PublishedReader
from skerry_operator.hub.status import StatusWriter
from skerry_operator.hub.targets import ModelName, Targets
from skerry_operator.hub.trained_on import FeatureSetReader
from skerry_operator.kube.api import KubeApi


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """The trust policy that counts: verified, of the highest serial; `digest` is that of its envelope."""

    document: PolicyDocument
    digest: str


@dataclass
class TrustState:
    """The active policy. It outlives its object: a TrustPolicy that is deleted still binds (law 2).

    `recalled` tells whether what counted before this process started is known; nothing may count before that.
    """

    active: ActivePolicy | None = None
    recalled: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)


class DirtySites:
    """Which sites each model's ledger hasn't been fed yet. Safe for threads."""

    def __init__(self) -> None:
        self._sites: dict[ModelName, set[str]] = {}
        self._lock = threading.Lock()

    def mark(self, models: Iterable[ModelName], sites: Iterable[str]) -> None:
        """Have these models look at these sites."""
        sites = list(sites)
        with self._lock:
            for model in models:
                self._sites.setdefault(model, set()).update(sites)

    def take(self, model: ModelName) -> set[str]:
        """The sites to look at, each once."""
        with self._lock:
            return self._sites.pop(model, set())


@dataclass(frozen=True)
class Hub:
    """Ports, state and settings of one hub."""

    kube: KubeApi
    store: Store
    trained_on: FeatureSetReader
    published: PublishedReader
    verifier: ReleaseVerifier
    grants: S3GrantIssuer | None
    inventory: Inventory
    statuses: StatusWriter
    policy_key: bytes
    hub_key: bytes
    incarnation: int
    now: Callable[[], datetime]
    enqueue: Callable[[Key, float], None]
    targets: Targets = field(default_factory=Targets)
    trust: TrustState = field(default_factory=TrustState)
    dirty: DirtySites = field(default_factory=DirtySites)
    # When each site's newest client certificate runs out, as far as it was issued since this process started.
    credentials: dict[str, datetime] = field(default_factory=dict)
