"""The shell around the activation machine: one control thread that turns inputs into events and commands into deeds."""

import queue
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import ModelPhase, Serial
from skerry_core.assignment.document import AssignmentDocument, ReleaseRef
from skerry_core.errors import SkerryError, WaitError
from skerry_core.evidence.window import Labelled
from skerry_core.trust.policy import PolicyDocument
from skerry_core.verdict.port import Judge, Outcome
from skerry_edge.inference.activation import machine
from skerry_edge.inference.activation import messages as m
from skerry_edge.inference.activation.state import Activation, BadRelease, Kept, LoadFailure, ModelKey
from skerry_edge.inference.authority import Authority
from skerry_edge.inference.canary import Canary, Ended
from skerry_edge.inference.durable_queue import DurableQueue
from skerry_edge.inference.intent import IntentFile
from skerry_edge.inference.kept import KeptFiles
from skerry_edge.inference.loader import Loader, Resident, failure_of
from skerry_edge.inference.quarantine import QuarantineFile
from skerry_edge.inference.routing import Routes
from skerry_edge.inference.store_folder import Stamp, StoreFolder
from skerry_edge.inference.workers import Workers

_POLL_SECONDS = 0.25
_JUDGE_SECONDS = 1.0
# For causes that change no file that is watched (a disk that works again, a blob mended in place).
_RETRY_SECONDS = 30.0

_log = structlog.get_logger(__name__)


class Activator:
    """Owns every model's activation. `routes` is what it has decided; the rest of the process only reads."""

    def __init__(
        self,
        *,
        store: StoreFolder,
        authority: Authority,
        loader: Loader,
        judge: Judge,
        kept: KeptFiles,
        quarantine: QuarantineFile,
        intent: IntentFile,
        routes: Routes,
        steady: Callable[[], datetime],
        put_aside: Callable[[ModelKey, BadRelease], None],
        warm: Callable[[], frozenset[str]] = frozenset,
        labelled: Callable[[str, str], Labelled] = lambda *_: Labelled(),
    ) -> None:
        """Take the parts; nothing is read or loaded before `start`.

        `steady` is the clock of evidence; `put_aside` hears of each release that is never tried again here, and why;
        `warm` tells which versions of feature sets a challenger needn't wait for, `labelled` what labels say of two
        releases.
        """
        self._store = store
        self._authority = authority
        self._loader = loader
        self._judge = judge
        self._kept = kept
        self._quarantine = quarantine
        self._intent = intent
        self._routes = routes
        self._steady = steady
        self._put_aside = put_aside
        self._warm = warm
        self._labelled = labelled
        self._durable = DurableQueue()
        self._loading = Workers("loader", threads=1, pending=64)
        self._residents: dict[ModelKey, dict[str, Resident]] = {}
        self._restrictions: dict[str, frozenset[str]] = {}
        self._denied: frozenset[str] = frozenset()
        self._stamp: tuple[Stamp, frozenset[str]] | None = None
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="activator", daemon=True)
        self.states: dict[ModelKey, Activation] = {}
        self.canaries: dict[ModelKey, Canary | Ended] = {}
        self.started = False

    # What the rest of the process may ask

    @property
    def alive(self) -> bool:
        """Whether the control thread runs."""
        return self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether every champion serves, or failed to load, which waiting here would not mend."""
        return self.started and all(
            state.champion is None or state.serving is not None or state.champion.digest in state.failures
            for state in self.states.values()
        )

    @property
    def residents(self) -> tuple[Resident, ...]:
        """Every release in memory."""
        return tuple(
            resident for by_digest in tuple(self._residents.values()) for resident in tuple(by_digest.values())
        )

    @property
    def observed_serial(self) -> Serial | None:
        """Serial of the assignment in force."""
        document = self._authority.document
        return document.serial if document is not None else None

    @property
    def refusal(self) -> SkerryError | None:
        """Why what sync has isn't in force."""
        return self._authority.refusal or self._authority.policy_refusal

    def start(self) -> None:
        """Take up what was kept, then watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the control thread and note that the process ends cleanly: no challenger is to blame for it."""
        self._stopping.set()
        self._inbox.put(lambda: None)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._durable.run(self._intent.clear_all)

    # The control thread

    def _run(self) -> None:
        self._guarded(self._take_up)
        next_poll = next_judge = next_retry = 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if now >= next_poll:
                next_poll = now + _POLL_SECONDS
                due = now >= next_retry
                if due:
                    next_retry = now + _RETRY_SECONDS
                self._guarded(lambda due=due: self._poll(due=due))  # type: ignore[misc]
                self.started = True
            if now >= next_judge:
                next_judge = now + _JUDGE_SECONDS
                self._guarded(self._judge_canaries)
            try:
                work = self._inbox.get(timeout=max(0.0, next_poll - time.monotonic()))
            except queue.Empty:
                continue
            self._guarded(work)
            # Until the next one it would hold what it brought: a release that may be out by then.
            del work

    def _guarded(self, work: Callable[[], None]) -> None:
        """Go on after a bug: a control thread that dies would leave the node unable to roll back."""
        try:
            work()
        except Exception:  # noqa: BLE001 - see above
            _log.exception("activation step failed")

    def _take_up(self) -> None:
        """Restore what was kept; blame who was being tried when the last process died."""
        for kept in self._kept.read_all():
            self._add(kept)
        for intent, power_cut in self._intent.left_behind():
            key = ModelKey(intent.namespace, intent.model)
            if key not in self.states:
                self._add(Kept(namespace=key.namespace, model=key.name, served_name=key.name))
            _log.warning("the last process died trying a release", model=str(key), digest=intent.release.digest)
            self._step(key, m.CrashFound(intent.release, power_cut))
        self._durable.run(self._intent.clear_left_behind)
        self._authority.refresh()
        for key in tuple(self.states):
            self._step(key, m.Started())

    def _add(self, kept: Kept) -> None:
        key = ModelKey(kept.namespace, kept.model)
        self.states = {**self.states, key: Activation(kept, bad=self._quarantine.of(key))}
        self._residents[key] = {}
        self._routes.name(key, kept.served_name)

    def _poll(self, *, due: bool) -> None:
        """See what changed in the store folder; `due`: try again whatever failed before."""
        self._durable.retry()
        stamp = (self._store.stamp(), self._warm())
        if stamp == self._stamp and not due and self.started:
            return
        self._stamp = stamp
        told_anew = self._authority.refresh()
        if told_anew:
            self._recheck_residents()
        try:
            self._restrictions = self._store.restrictions()
        except WaitError as error:
            _log.warning("restrictions not taken up", reason=error.reason, message=str(error))
        document = self._authority.document
        if document is not None:
            self._take(document)
        for key in tuple(self.states):
            self._step(key, m.InputsChanged(told_anew=told_anew))

    def _take(self, document: AssignmentDocument) -> None:
        """Tell each model what the assignment says of it, and what may not run."""
        for model in document.models:
            key = ModelKey(model.namespace, model.name)
            if key not in self.states:
                self._add(Kept(namespace=model.namespace, model=model.name, served_name=model.served_name))
            self._routes.name(key, model.served_name)
            self._step(key, m.Assigned(model, self._barred(key) | frozenset(model.quarantined)))
        named = {ModelKey(model.namespace, model.name) for model in document.models}
        removed = {ModelKey(model.namespace, model.name) for model in document.removals}
        for key in tuple(self.states):
            if key in removed - named:
                self._step(key, m.Removed())
            elif key not in named:
                # It serves on, but what was revoked or barred since may not.
                self._step(key, m.Barred(self._barred(key)))

    def _barred(self, key: ModelKey) -> frozenset[str]:
        """What the site or the trust policy bars."""
        return self._restrictions.get(str(key), frozenset()) | self._denied

    def _recheck_residents(self) -> None:
        """Hold a new policy against what is in memory: a release that it revokes may not run on."""
        policy = self._authority.policy
        if policy is None:
            return
        denied = set()
        for key, residents in self._residents.items():
            for digest, resident in residents.items():
                refusal = resident.refused_by(policy, key)
                if refusal is not None:
                    _log.warning(
                        "policy revokes a resident release", model=str(key), digest=digest, reason=refusal.reason
                    )
                    denied.add(digest)
        self._denied = frozenset(denied)

    def _judge_canaries(self) -> None:
        for key, state in tuple(self.states.items()):
            canary = self.canaries.get(key)
            if state.canary is None or not isinstance(canary, Canary) or not canary.running:
                continue
            verdict = self._judge(canary.evidence(), canary.limits, canary.expected, self._steady())
            if verdict.outcome is not Outcome.INCONCLUSIVE:
                _log.info(
                    "verdict",
                    model=str(key),
                    digest=state.canary.digest,
                    outcome=verdict.outcome,
                    metric=verdict.metric,
                )
                self._step(key, m.VerdictReached(state.canary.digest, verdict))

    def _step(self, key: ModelKey, event: m.Event) -> None:
        state = self.states.get(key)
        if state is None:
            return
        after, commands = machine.step(state, m.Stamped(event, datetime.now(UTC)))
        # What serves is swapped before the state says so: who reads that and asks is answered by the release named.
        swaps = sum(isinstance(command, m.EndCanary | m.Serve) for command in commands)  # they come first
        for command in commands[:swaps]:
            self._execute(key, command)
        self.states = {**self.states, key: after}
        for command in commands[swaps:]:
            self._execute(key, command)

    # Commands

    def _execute(self, key: ModelKey, command: m.Command) -> None:  # noqa: C901 - one case for each command
        if not isinstance(command, m.Persist):
            _log.info("activation", model=str(key), command=type(command).__name__, digest=m.digest_of(command))
        match command:
            case m.EndCanary():
                self._end_canary(key)
            case m.Serve(release):
                self._routes.serve(key, self._residents[key][release.digest])
            case m.Quarantine(entry):
                self._durable.run(lambda: self._quarantine.add(key, entry))
                self._put_aside(key, entry)
            case m.MarkIntent(release):
                self._mark(key, release)
            case m.Persist(kept):
                self._durable.run(lambda: self._kept.write(kept))
            case m.ClearIntent(digest):
                self._durable.run(lambda: self._intent.clear(digest))
            case m.StartCanary(challenger):
                self._start_canary(key, challenger)
            case m.Unload(digest):
                self._residents[key].pop(digest, None)
            case m.Load(release):
                self._load(key, release)
            case m.Forget():
                self._forget(key)

    def _mark(self, key: ModelKey, release: ReleaseRef) -> None:
        try:
            self._intent.mark(key.namespace, key.name, release, datetime.now(UTC))
        except OSError as error:
            _log.warning("intent can't be noted", model=str(key), digest=release.digest, error=str(error))

    def _load(self, key: ModelKey, release: ReleaseRef) -> None:
        state, policy = self.states[key], self._authority.policy
        proven = machine.is_proven(state, release)
        if not proven and not self._intent.is_marked(release.digest):
            message = "the node's disk can't be written, and an unproven release isn't loaded without a note of it"
            self._post(key, m.LoadFailed(release.digest, LoadFailure(ModelPhase.STALLED, "DiskNotWritable", message)))
            return
        if policy is None or not (proven or self._authority.policy_is_current):
            self._post(key, m.LoadFailed(release.digest, self._without_policy()))
            return
        champion = self._residents[key].get(state.serving.digest) if state.serving is not None else None
        like = champion.manifest if champion is not None and not proven and state.may_run(state.serving) else None

        def work() -> None:
            try:
                resident = self._loader.load(key, release, policy, like, proven=proven)
            except SkerryError as error:
                _log.warning("release not loaded", model=str(key), digest=release.digest, reason=error.reason)
                self._post(key, m.LoadFailed(release.digest, failure_of(error)))
            except Exception as error:  # noqa: BLE001 - a bug costs this load, never the control thread
                _log.exception("loading failed", model=str(key), digest=release.digest)
                self._post(
                    key, m.LoadFailed(release.digest, LoadFailure(ModelPhase.STALLED, "LoadError", str(error)[:1024]))
                )
            else:
                self._inbox.put(lambda: self._loaded(key, resident, policy))

        self._loading.submit(work)

    def _without_policy(self) -> LoadFailure:
        refusal = self._authority.policy_refusal
        if refusal is None:
            document = self._authority.document
            digest = document.trust_policy if document is not None else None
            return LoadFailure(ModelPhase.DOWNLOADING, "Downloading", "the trust policy isn't here yet", missing=digest)
        return failure_of(refusal)

    def _loaded(self, key: ModelKey, resident: Resident, verified_by: PolicyDocument) -> None:
        if key not in self.states:
            return
        digest, policy = resident.release.digest, self._authority.policy
        refusal = resident.refused_by(policy, key) if policy is not None and policy is not verified_by else None
        if refusal is not None:
            # A newer policy came during the load, and was held against what was resident then.
            _log.warning("policy revokes a release just loaded", model=str(key), digest=digest, reason=refusal.reason)
            self._step(key, m.LoadFailed(digest, failure_of(refusal)))
            return
        self._residents[key][digest] = resident
        self._step(key, m.Loaded(digest))

    def _start_canary(self, key: ModelKey, challenger: ReleaseRef) -> None:
        state, residents = self.states[key], self._residents[key]
        if state.assigned is None or state.serving is None:
            return

        def tripped(metric: FailedMetric) -> None:
            self._post(key, m.GuardrailsTripped(challenger.digest, metric))

        canary = Canary(
            residents[state.serving.digest],
            residents[challenger.digest],
            state.assigned.analysis,
            now=self._steady,
            tripped=tripped,
            labelled=self._labelled,
        )
        self.canaries = {**self.canaries, key: canary}
        self._routes.split(key, canary)

    def _end_canary(self, key: ModelKey) -> None:
        self._routes.split(key, None)
        canary = self.canaries.get(key)
        if isinstance(canary, Canary):
            canary.stop()
            self.canaries = {**self.canaries, key: canary.ended()}

    def _forget(self, key: ModelKey) -> None:
        self._routes.remove(key)
        self._durable.run(lambda: self._kept.remove(key))
        self.states = {other: state for other, state in self.states.items() if other != key}
        self.canaries = {other: canary for other, canary in self.canaries.items() if other != key}
        del self._residents[key]

    def _post(self, key: ModelKey, event: m.Event) -> None:
        self._inbox.put(lambda: self._step(key, event))
