"""What sync asks before anything leaves the node: each stream's gate, by the policy and the consents of now."""

import threading
from collections import Counter as Count
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from skerry_api.v1alpha1.syncpolicy import AGGREGATES, CONSENT, DEAD_LETTER, ROLLUPS, Consent
from skerry_core.batch.contents import Row
from skerry_core.errors import RetryError
from skerry_core.micros import micros_of
from skerry_core.sync_policy.document import DataClassPolicy, StreamPolicy, SyncPolicyDocument
from skerry_edge.events.expiry import uptime_ms
from skerry_edge.events.follow import Place
from skerry_edge.events.record import ColumnBatch
from skerry_edge.sync.outbound.age import Belief, believe
from skerry_edge.sync.outbound.consent import Consents
from skerry_edge.sync.outbound.consent_keeper import ConsentKeeper
from skerry_edge.sync.outbound.consent_record import ConsentRecords
from skerry_edge.sync.outbound.dead_letters import blanked
from skerry_edge.sync.outbound.entity import Sampler, entity_of
from skerry_edge.sync.outbound.gate import Gate, Outcome
from skerry_edge.sync.outbound.path import Tally
from skerry_edge.sync.outbound.rules import Rules
from skerry_edge.sync.outbound.salt import load_salt
from skerry_edge.sync.outbound.samples import Samples, Wanted

_Apply = Callable[[bytes, Tally], bytes | None]
# Their records tell of a stream's events, and bear its name as subject.
_STATISTICS = frozenset({AGGREGATES, ROLLUPS})


@dataclass(frozen=True)
class _Policy:
    """Data classes with their compiled rules, and the streams whose records may leave as they are.

    `consent` is what happens to the stream `consent` if no rule of a data class does. `lifetimes` are the ages, by
    stream, at which events no longer leave, as their data classes say.
    """

    consent: ConsentRecords
    classes: Mapping[str, tuple[DataClassPolicy, Rules]] = field(default_factory=dict)
    unrestricted: frozenset[str] = frozenset()
    lifetimes: Mapping[str, timedelta] = field(default_factory=dict)


class Outbound:
    """Safe to use from several threads."""

    def __init__(
        self,
        folder: Path,
        site_salt: Path,
        consent_log: Path,
        registry: CollectorRegistry,
        uptime: Callable[[], int] = uptime_ms,
    ) -> None:
        """Keep `salt` (at first a copy of `site_salt`), `consent.json` and `samples.json` in `folder`, sync's own.

        `uptime` gives ms since the boot.

        Raises OSError, or UserMustActError SaltDamaged.
        """
        salt = load_salt(folder / "salt", site_salt)
        self._hash_key = salt.key("hash")
        self._sampler = Sampler(salt.key("sampling"))
        self.relay_key = salt.key("relay")
        self.consent = ConsentKeeper(folder / "consent.json", consent_log, self.relay_key, registry)
        self._policy = _Policy(ConsentRecords((), self._hash_key, self.relay_key))
        self._samples = Samples(folder / "samples.json", registry)
        self._uptime = uptime
        self._belief: Belief | None = None
        self._lock = threading.Lock()
        self._judged = Counter(
            "skerry_sync_outbound_records_total",
            "Records judged before they leave, by stream and outcome: Passed, or why they don't.",
            ["stream", "outcome"],
            registry=registry,
        )
        self._misfits = Counter(
            "skerry_sync_outbound_misfits_total",
            "Values taken out because a privacy rule couldn't change what it found.",
            ["stream"],
            registry=registry,
        )

    def adopt(self, document: SyncPolicyDocument) -> None:
        """Go by this policy from now on."""
        classes = {policy.name: (policy, self.rules(policy)) for policy in document.data_classes}
        restricted = {
            name for name, (policy, rules) in classes.items() if rules.needed or policy.consent is Consent.REQUIRED
        }
        unrestricted = {
            stream.name for stream in document.streams if stream.data_class not in restricted and stream.name != CONSENT
        }
        consent = ConsentRecords(document.data_classes, self._hash_key, self.relay_key)
        ttls = {name: policy.ttl for name, (policy, _) in classes.items()}
        lifetimes = {
            stream.name: ttl for stream in document.streams if (ttl := ttls.get(stream.data_class or "")) is not None
        }
        self._policy = _Policy(consent, classes, frozenset(unrestricted), lifetimes)
        self._samples.adopt(document)

    def rows(self, stream: StreamPolicy, batches: Sequence[ColumnBatch], now: datetime) -> Outcome:
        """What of a stream's records, in ascending batches, leaves the node.

        Raises RetryError (ConsentUnreadable, PolicyChanged, SamplesNotCounted): then none of them may.
        """
        wanted = self._samples.wanted(stream.name, now)
        outcome = self._passed(replace(self._gate(stream), wanted=wanted), batches, now)
        if wanted is not None:
            self._spend(wanted)
        counts = Count({"Passed": len(outcome.rows)})
        for absent in outcome.absent:
            counts[absent.reason.value] += absent.last - absent.first + 1
        for name, count in counts.items():
            self._judged.labels(stream.name, name).inc(count)
        if outcome.misfits:
            self._misfits.labels(stream.name).inc(outcome.misfits)
        return outcome

    def admitted(self, stream: StreamPolicy, batches: Sequence[ColumnBatch], now: datetime) -> Sequence[Row]:
        """Records from which something may be derived that leaves the node: young enough and consented to.

        Their bodies are whole. Raises RetryError as `rows` does.
        """
        gate = self._gate(stream)
        return self._passed(Gate(gate.max_age, gate.consent), batches, now).rows

    def consents(self, now: datetime) -> Consents:
        """Who consents now. Raises RetryError ConsentUnreadable."""
        return self.consent.current(now)

    def rules(self, policy: DataClassPolicy) -> Rules:
        """A data class's rules, compiled."""
        return Rules.compile(policy, self._hash_key)

    def held(self) -> dict[str, Place]:
        """By stream, up to where its log is no longer needed here; segments behind that must stay."""
        return {CONSENT: self.consent.held()}

    def _passed(self, gate: Gate, batches: Sequence[ColumnBatch], now: datetime) -> Outcome:
        consents = Consents() if gate.consent is None else self.consent.current(now)
        return gate.passed(batches, consents, self._sampler, self._believed(now))

    def _spend(self, wanted: Wanted) -> None:
        try:
            self._samples.spend(wanted)
        except OSError as error:
            raise RetryError("SamplesNotCounted", f"what was asked for can't be counted: {error}") from error

    def _gate(self, stream: StreamPolicy) -> Gate:
        policy, rules = (None, None) if stream.data_class is None else self._class(stream.data_class)
        apply: _Apply | None = rules.apply if rules is not None and rules.needed else None
        if apply is None and stream.name == CONSENT:
            apply = self._policy.consent.apply
        return Gate(
            stream.max_age if policy is None or policy.ttl is None else min(policy.ttl, stream.max_age),
            policy.name if policy is not None and policy.consent is Consent.REQUIRED else None,
            stream.sampling,
            _letters(self._policy.unrestricted, apply) if stream.name == DEAD_LETTER else apply,
            lifetime=_lifetime(self._policy.lifetimes) if stream.name in _STATISTICS else None,
        )

    def _class(self, name: str) -> tuple[DataClassPolicy, Rules]:
        found = self._policy.classes.get(name)
        if found is None:
            raise RetryError("PolicyChanged", f"data class {name} is not in the policy that was adopted last")
        return found

    def _believed(self, now: datetime) -> int:
        with self._lock:
            self._belief = believe(self._belief, micros_of(now), self._uptime() * 1000)
            return self._belief.now


def _lifetime(lifetimes: Mapping[str, timedelta]) -> Callable[[bytes], timedelta | None]:
    """How long after it was made a statistic may leave: as long as the events that it is of."""
    return lambda body: lifetimes.get(entity_of(body) or "")


def _letters(unrestricted: frozenset[str], apply: _Apply | None) -> _Apply:
    """What happens to dead letters, before the rules of their own data class."""

    def changed(body: bytes, tally: Tally) -> bytes | None:
        left = blanked(body, unrestricted)
        return left if left is None or apply is None else apply(left, tally)

    return changed
