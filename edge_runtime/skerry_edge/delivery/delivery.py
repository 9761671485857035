"""Brings what the assignment asks for onto the disk: looks, asks the planner, carries out, says what is missing."""

import json
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from skerry_core import backoff
from skerry_core.assignment.document import AssignmentDocument
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, Manifest
from skerry_core.durable import write_file
from skerry_core.errors import SkerryError
from skerry_edge.delivery.activation import Activation
from skerry_edge.delivery.blobs import BlobFolder
from skerry_edge.delivery.essential import essential
from skerry_edge.delivery.fetch import Source, Turn, fetch
from skerry_edge.delivery.plan import DOWNLOADING, Attempt, Delete, DropPartial, Fetch, Pending, Plan, Wanted, plan
from skerry_edge.delivery.wanted import keep, releases, wanted
from skerry_edge.sync.schedule.plan import Held, Wish

# With nothing to do, the disk is looked at this often (a file deleted by hand comes back, old blobs go).
IDLE = timedelta(seconds=30)
# Reading all blobs costs the node's disk seconds, so doubts lead to it this often at most.
RECHECK_SECONDS = 60.0
_DAMAGED = "DigestMismatch"

_log = structlog.get_logger()


@dataclass(frozen=True)
class Demand:
    """What delivery works for.

    The assignment, the digests that may not run, and what inference holds and serves (None: unknown).
    """

    document: AssignmentDocument | None
    quarantined: frozenset[str]
    activation: Activation | None


# Runs a turn of a wish's download as its budget allows, and gives what the turn gave, or why there is none now. The
# second argument tells a policy from a model's blob.
Gate = Callable[[Wish, bool, Callable[[Turn], bool]], "bool | Held"]


class Delivery:
    """Runs one step of downloading and cleaning up at a time.

    `demand` is read at the start of each step; `source` reads a blob by the grant in force; `gate` asks the budgets for
    downloads; `interrupted` tells that something changed and a running download should come back to the planner.
    """

    def __init__(
        self,
        blobs: BlobFolder,
        downloads: Path,
        demand: Callable[[], Demand],
        source: Source,
        gate: Gate,
        interrupted: Callable[[], bool],
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs = blobs
        self._downloads = downloads
        self._demand = demand
        self._source = source
        self._gate = gate
        self._interrupted = interrupted
        self._manifests: dict[str, Manifest] = {}
        self._attempts: dict[str, Attempt] = {}
        self._pending: tuple[Pending, ...] = ()
        self._held: Held | None = None
        self._essential: frozenset[str] = frozenset()
        self._policies: frozenset[str] = frozenset()
        self._told: tuple[Pending, ...] | None = None
        self._clock = clock
        self._checked = False
        self._checked_at = 0.0
        self._bytes = Counter("skerry_sync_downloaded_bytes_total", "Bytes of whole blobs fetched.", registry=registry)
        self._missing = Gauge("skerry_sync_blobs_missing", "Wanted blobs that aren't there.", registry=registry)
        self._damaged = Counter(
            "skerry_sync_blobs_damaged_total",
            "Blobs whose bytes were not those of their digest, on disk or as they came.",
            registry=registry,
        )
        self._retries = Counter(
            "skerry_sync_download_retries_total", "Failed downloads, by reason.", ["reason"], registry=registry
        )

    @property
    def pending(self) -> tuple[Pending, ...]:
        """What is wanted and not there, as of the last step."""
        return self._pending

    def retry_now(self) -> None:
        """Forget the pauses after failures: a new grant or assignment may have taken their cause away."""
        self._attempts = {}

    def doubt(self) -> bool:
        """Have the next step look for damaged blobs again; false if that is due anyway, or was done just now."""
        if not self._checked or self._clock() - self._checked_at < RECHECK_SECONDS:
            return False
        self._checked = False
        return True

    def step(self) -> timedelta:
        """Plan, carry out at most one turn of one download, and return the pause until the next step.

        The first step looks for blobs that the disk has damaged, so that they are fetched again before anybody needs
        them. Deletions come before anything is written: on a full disk they are the only thing that can succeed.
        """
        if not self._checked:
            self._discard_damaged()
        made = self._plan()
        for command in made.commands:
            match command:
                case Delete(digest):
                    _log.info("blob deleted", digest=digest)
                    self._blobs.delete(digest)
                case DropPartial(digest):
                    self._blobs.drop_partial(digest)
        # What was held goes on being told as held until it isn't: to tell it as coming each time would be no news.
        self._tell(_held(item, self._held) for item in made.pending)
        held = None
        for command in made.commands:
            if isinstance(command, Fetch):
                held = self._fetch(command.wanted)
        if held != self._held:
            self._held = held
            self._tell(_held(item, held) for item in made.pending)
        if held is not None:
            return IDLE if held.seconds is None else min(timedelta(seconds=held.seconds), IDLE)
        if made.wake_at is None:
            return IDLE
        return min(max(made.wake_at - datetime.now(UTC), timedelta()), IDLE)

    def _discard_damaged(self) -> None:
        for digest in self._blobs.discard_damaged():
            self._damaged.inc()
            _log.warning("damaged blob discarded", reason=_DAMAGED, digest=digest)
        self._checked = True
        self._checked_at = self._clock()

    def _plan(self) -> Plan:
        demand = self._demand()
        disk = self._blobs.survey()
        held = frozenset(blob.digest for blob in disk.blobs)
        manifests = self._read_manifests(demand, held)
        wants: tuple[Wanted, ...] = ()
        if demand.document is not None:
            wants = wanted(demand.document, manifests, demand.quarantined)
            self._essential = first = essential(demand.document, demand.activation, manifests, demand.quarantined)
            self._policies = frozenset({demand.document.trust_policy, demand.document.sync_policy or ""})
            # What the node can't serve without isn't to wait behind what a budget holds.
            wants = tuple(sorted(wants, key=lambda item: item.digest not in first))
        activation = None if demand.activation is None else demand.activation.releases
        kept = keep(demand.document, activation, manifests, demand.quarantined)
        return plan(wants, disk, kept, self._attempts, datetime.now(UTC))

    def _read_manifests(self, demand: Demand, held: frozenset[str]) -> dict[str, Manifest]:
        """Manifests of all releases in question that are on disk. Digest-checked when they came, so parsed once."""
        activation = demand.activation or Activation()
        digests = {release.digest for release in activation.releases}
        if demand.document is not None:
            digests |= {release.digest for release in releases(demand.document, demand.quarantined)}
        found = {}
        for digest in digests & held:
            manifest = self._manifests.get(digest) or self._parse(digest)
            if manifest is not None:
                found[digest] = manifest
        self._manifests = found
        return found

    def _parse(self, digest: str) -> Manifest | None:
        try:
            with self._blobs.path(digest).open("rb") as file:
                return Manifest.model_validate_json(file.read(MAX_MANIFEST_BYTES))
        except (OSError, ValueError) as error:
            # Inference refuses such a release and says so; here it only names no files.
            _log.warning("manifest can't be read", reason="ManifestMalformed", digest=digest, message=str(error))
            return None

    def _fetch(self, item: Wanted) -> Held | None:
        """One turn of a download; why there was none, if the budgets don't allow one now."""
        partial = self._blobs.partial(item.digest)
        received = partial.stat().st_size if partial.exists() else 0
        missing = max((item.limit if item.size is None else item.size) - received, 0)
        wish = Wish(item.digest, missing, item.digest in self._essential)
        try:
            done = self._gate(
                wish,
                item.digest in self._policies,
                lambda turn: fetch(item, self._blobs, self._source, self._interrupted, turn),
            )
        except SkerryError as error:
            self._failed(item, error)
            return None
        if isinstance(done, Held):
            return done
        self._attempts.pop(item.digest, None)
        if done:
            size = self._blobs.path(item.digest).stat().st_size
            self._bytes.inc(size)
            _log.info("blob fetched", digest=item.digest, size=size)
        return None

    def _failed(self, item: Wanted, error: SkerryError) -> None:
        self._retries.labels(error.reason).inc()
        if error.reason == _DAMAGED:
            self._damaged.inc()
        before = self._attempts.get(item.digest)
        failures = 1 if before is None else before.failures + 1
        retry_at = datetime.now(UTC) + backoff.delay(failures, random.random())  # noqa: S311 - jitter
        self._attempts[item.digest] = Attempt(failures, error.reason, str(error), retry_at)
        if before is None or before.reason != error.reason:
            _log.warning("download failed", reason=error.reason, message=str(error), digest=item.digest)

    def _tell(self, pending: Iterable[Pending]) -> None:
        """Write downloads.json if there is news; it only explains, so a disk that can't take it holds up nothing."""
        self._pending = pending = tuple(pending)
        self._missing.set(len(pending))
        if self._told is not None and _news(pending) == _news(self._told):
            return
        try:
            write_file(self._downloads, json.dumps([asdict(item) for item in pending]).encode())
        except OSError as error:
            _log.warning("downloads can't be told", reason="DiskFault", message=str(error))
            return
        self._told = pending


def _held(item: Pending, held: Held | None) -> Pending:
    """What is told of a blob that would come but for its budget."""
    if held is None or item.reason != DOWNLOADING:
        return item
    return replace(item, reason=held.reason.value, message=held.message)


def _news(pending: tuple[Pending, ...]) -> tuple[tuple[str, str, int | None], ...]:
    """What of the list is news: not the bytes received, which change with every turn."""
    return tuple((item.digest, item.reason, item.size) for item in pending)
