"""Records that the hub has asked for though sampling would keep them at the site: until a time, up to so many bytes.

The request is part of the signed SyncPolicy. Age, consent and privacy rules hold for what is asked for as for all else;
the link's budgets do, too. What was spent is on the disk before a record leaves, so a restart asks for no more.
"""

import threading
from collections import Counter as Count
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter

from skerry_core.durable import write_file
from skerry_core.errors import UserMustActError
from skerry_core.sync_policy.document import AlertPolicy, SamplePolicy, SyncPolicyDocument
from skerry_edge.sync.alerts.predicate import Predicate, Subject, UndecidedError

_log = structlog.get_logger()


@dataclass(frozen=True)
class _Asked:
    """A request that holds, by its key; without `predicate` for every record."""

    key: str
    policy: SamplePolicy
    predicate: Predicate | None


@dataclass
class Wanted:
    """What is asked of one stream now. Used by one thread; `used` counts bytes of records by request."""

    stream: str
    asked: Sequence[_Asked]
    left: Mapping[str, int]
    used: Count[str] = field(default_factory=Count)

    def __call__(self, body: bytes) -> bool:
        """Whether a record is asked for; if so, it is counted."""
        for each in self.asked:
            if self.used[each.key] + len(body) <= self.left[each.key] and self._fulfils(each, body):
                self.used[each.key] += len(body)
                return True
        return False

    def _fulfils(self, asked: _Asked, body: bytes) -> bool:
        try:
            return asked.predicate is None or Subject(self.stream, body).fulfils(asked.predicate)
        except UndecidedError:
            return False


class Samples:
    """Safe to use from several threads. A request with another name or another end is another one."""

    def __init__(self, note: Path, registry: CollectorRegistry) -> None:
        """`note` is this object's own file; if it can't be read, requests that hold now are taken for spent."""
        self._note = note
        self._lock = threading.Lock()
        self._asked: Sequence[_Asked] = ()
        self._spent, self._lost = self._read()
        self._bytes = Counter(
            "skerry_sync_samples_bytes_total",
            "Bytes of records that leave the node since the policy asks for them, by request.",
            ["sample"],
            registry=registry,
        )

    def adopt(self, document: SyncPolicyDocument) -> None:
        """Go by this policy from now on."""
        asked = []
        for policy in document.samples:
            try:
                predicate = None if policy.when is None else Predicate.compile(_as_alert(policy))
            except UserMustActError as error:
                _log.warning("sample is not taken", sample=policy.name, reason=error.reason, message=str(error))
                continue
            asked.append(_Asked(f"{policy.name} {policy.until.isoformat()}", policy, predicate))
        with self._lock:
            kept = {each.key: self._spent.get(each.key, each.policy.max_bytes if self._lost else 0) for each in asked}
            self._asked, self._spent, self._lost = asked, kept, False

    def wanted(self, stream: str, now: datetime) -> Wanted | None:
        """What is asked of a stream at `now`; None if nothing is."""
        with self._lock:
            asked = [each for each in self._asked if each.policy.stream == stream and now < each.policy.until]
            left = {each.key: each.policy.max_bytes - self._spent[each.key] for each in asked}
        return Wanted(stream, asked, left) if any(size > 0 for size in left.values()) else None

    def spend(self, wanted: Wanted) -> None:
        """Durably count what was used; before the records leave. Raises OSError: then they may not."""
        if not wanted.used:
            return
        with self._lock:
            spent = {**self._spent, **{key: self._spent.get(key, 0) + size for key, size in wanted.used.items()}}
            write_file(self._note, msgspec.json.encode(spent), mode=0o600)
            self._spent = spent
        for key, size in wanted.used.items():
            self._bytes.labels(key.partition(" ")[0]).inc(size)

    def _read(self) -> tuple[dict[str, int], bool]:
        try:
            return msgspec.json.decode(self._note.read_bytes(), type=dict[str, int]), False
        except FileNotFoundError:
            return {}, False
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("what samples have spent can't be read, they get no more", reason="NoteLost", error=str(error))
            return {}, True


def _as_alert(policy: SamplePolicy) -> AlertPolicy:
    return AlertPolicy(name=policy.name, stream=policy.stream, when=policy.when or "", message="")
