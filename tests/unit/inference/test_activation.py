"""The activation machine: scenarios by table, laws by a stateful search."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.verdict.port import Outcome, Verdict
from skerry_edge.inference.activation import machine
from skerry_edge.inference.activation import messages as m
from skerry_edge.inference.activation.phase import standing
from skerry_edge.inference.activation.state import Activation, LoadFailure
from tests.unit.inference.releases import AT, assignment, kept, release

R0, R1, R2, R3 = (release(number) for number in range(4))
METRIC = FailedMetric(name="non_finite_outputs")
PASS = Verdict(Outcome.PASS)
FAIL = Verdict(Outcome.FAIL, "disagreement", 0.4, 0.1, "decides otherwise")
REFUSED = LoadFailure(ModelPhase.REFUSED, "SignerNotAllowed", "no")
MISSING = LoadFailure(ModelPhase.DOWNLOADING, "Downloading", "not here", missing=R2.digest)


class Shell:
    """Feeds events one by one and remembers what was ordered."""

    def __init__(self, state: Activation) -> None:
        self.state = state
        self.log: list[m.Command] = []

    def __call__(self, *events: m.Event) -> list[m.Command]:
        self.log = []
        for event in events:
            self.state, commands = machine.step(self.state, m.Stamped(event, AT))
            self.log += commands
        return self.log

    def ordered(self) -> list[str]:
        return [type(command).__name__ for command in self.log]

    @property
    def phase(self) -> ModelPhase:
        return standing(self.state, {}).phase


def serving(champion=R0, previous=None, target=None, approved=None, **changes) -> Shell:
    """A node whose champion, and previous release, are resident."""
    shell = Shell(Activation(kept(champion, previous)))
    shell(m.Started(), m.Loaded(champion.digest))
    if previous is not None:
        shell(m.Loaded(previous.digest))
    shell(m.Assigned(assignment(target or champion, approved, **changes)))
    return shell


def in_canary(champion=R0, challenger=R1, **changes) -> Shell:
    shell = serving(champion, target=challenger, approved=champion, **changes)
    shell(m.Loaded(challenger.digest))
    assert shell.state.canary == challenger
    return shell


def test_first_release_activates_without_a_canary():
    shell = Shell(Activation(kept()))
    shell(m.Assigned(assignment(R1)))
    assert shell.log == [m.MarkIntent(R1), m.Load(R1)]
    shell(m.Loaded(R1.digest))
    assert shell.ordered() == ["Serve", "Persist", "ClearIntent"]
    assert shell.state.serving == R1
    assert shell.phase is ModelPhase.SERVING


def test_a_late_joiner_serves_the_approved_release_first_and_tries_the_target():
    shell = Shell(Activation(kept()))
    shell(m.Assigned(assignment(R2, R1)))
    assert m.Load(R1) in shell.log
    shell(m.Loaded(R1.digest))
    assert shell.state.serving == R1
    shell(m.Loaded(R2.digest))
    assert shell.state.canary == R2


@pytest.mark.parametrize(("failure", "serves"), [(REFUSED, True), (MISSING, False)])
def test_an_unproven_target_goes_first_only_if_the_approved_release_cannot_come(failure, serves):
    shell = Shell(Activation(kept()))
    shell(m.Assigned(assignment(R2, R1)), m.LoadFailed(R1.digest, failure), m.Loaded(R2.digest))
    assert (shell.state.serving == R2) is serves


def test_a_target_is_tried_and_promoted():
    shell = serving(R0, target=R1, approved=R0)
    assert shell.log == [m.MarkIntent(R1), m.Load(R1)]
    assert shell(m.Loaded(R1.digest)) == [m.StartCanary(R1)]
    assert shell.phase is ModelPhase.CANARY
    shell(m.VerdictReached(R1.digest, PASS))
    assert shell.ordered() == ["EndCanary", "Serve", "Persist", "ClearIntent"]
    assert (shell.state.champion, shell.state.kept.previous) == (R1, R0)
    assert shell.state.resident == {R0.digest, R1.digest}


def test_promotion_lets_the_release_before_the_previous_one_go():
    shell = serving(R1, previous=R0, target=R2, approved=R1)
    shell(m.Loaded(R2.digest), m.VerdictReached(R2.digest, PASS))
    assert m.Unload(R0.digest) in shell.log
    assert shell.state.resident == {R1.digest, R2.digest}


@pytest.mark.parametrize(
    "event", [m.VerdictReached(R1.digest, FAIL), m.GuardrailsTripped(R1.digest, METRIC)], ids=["verdict", "guardrails"]
)
def test_a_bad_challenger_is_out_before_its_mark_goes(event):
    shell = in_canary()
    shell(event)
    assert shell.ordered() == ["EndCanary", "Quarantine", "ClearIntent", "Unload"]
    assert shell.state.serving == R0
    assert shell.phase is ModelPhase.ROLLED_BACK
    assert standing(shell.state, {}).failed_metric.name in {"disagreement", "non_finite_outputs"}
    assert shell(m.Assigned(assignment(R1, R0)), m.InputsChanged(told_anew=True)) == []


def test_inconclusive_and_stale_verdicts_change_nothing():
    shell = in_canary()
    before = shell.state
    assert shell(m.VerdictReached(R1.digest, Verdict(Outcome.INCONCLUSIVE))) == []
    assert shell(m.VerdictReached(R3.digest, PASS), m.GuardrailsTripped(R3.digest, METRIC)) == []
    assert shell.state == before


def test_a_new_target_ends_the_running_canary_without_blame():
    shell = in_canary()
    shell(m.Assigned(assignment(R2, R0)))
    assert shell.ordered() == ["EndCanary", "MarkIntent", "ClearIntent", "Unload", "Load"]
    assert shell.state.bad == ()


@pytest.mark.parametrize(
    ("previous", "approved", "expected"), [(R0, R0, R0), (None, R0, R0), (R0, None, R0), (R3, R0, R3)]
)
def test_a_quarantined_champion_gives_way(previous, approved, expected):
    """At once to whatever good release is resident; one that has to be loaded first comes as soon as it is."""
    shell = serving(R1, previous=previous, target=R1, approved=approved)
    shell(m.Assigned(assignment(R1, approved), barred=frozenset({R1.digest})))
    if shell.state.loading is not None and shell.state.champion == R1:
        assert shell.state.serving == R1, "nothing better is resident yet"
        shell(m.Loaded(shell.state.loading.digest))
    assert shell.state.serving == expected
    assert m.Unload(R1.digest) in shell.log
    assert "StartCanary" not in shell.ordered()
    assert shell.state.kept.previous is None


def test_a_quarantined_champion_without_alternative_serves_on():
    shell = serving(R1)
    assert shell(m.Assigned(assignment(R1), barred=frozenset({R1.digest}))) == []
    assert shell.state.serving == R1
    assert shell.phase is ModelPhase.ROLLED_BACK


def test_an_older_approved_release_needs_a_canary_if_the_champion_is_fine():
    shell = serving(R2, target=R1, approved=R1)
    shell(m.Loaded(R1.digest))
    assert shell.state.canary == R1
    assert shell.state.serving == R2


def test_a_champion_that_cannot_be_loaded_is_stood_in_for():
    shell = Shell(Activation(kept(R1, R0)))
    shell(m.Started(), m.Assigned(assignment(R1, R0)), m.LoadFailed(R1.digest, MISSING))
    assert m.Load(R0) in shell.log
    shell(m.Loaded(R0.digest))
    assert shell.state.serving == R0
    shell(m.InputsChanged(told_anew=False), m.Loaded(R1.digest))
    assert shell.state.canary == R1


def test_refused_target_waits_for_news_and_missing_one_for_bytes():
    for failure, told_anew, again in [(REFUSED, False, False), (REFUSED, True, True), (MISSING, False, True)]:
        shell = serving(R0, target=R2, approved=R0)
        shell(m.LoadFailed(R2.digest, failure))
        assert shell.phase is failure.phase
        assert shell.state.serving == R0
        shell(m.InputsChanged(told_anew=told_anew))
        assert (m.Load(R2) in shell.log) is again


def test_bytes_that_came_during_a_failing_load_are_tried_at_once():
    shell = serving(R0, target=R2, approved=R0)
    shell(m.InputsChanged(told_anew=False), m.LoadFailed(R2.digest, MISSING))
    assert m.Load(R2) in shell.log
    shell(m.LoadFailed(R2.digest, MISSING))
    assert m.Load(R2) not in shell.log


@pytest.mark.parametrize(
    ("champion", "power_cut", "before", "blamed"),
    [
        (R0, False, (), True),
        (R0, True, (), False),
        (R0, True, (R1.digest,), True),
        (None, False, (), False),
        (None, False, (R1.digest,), False),
        (None, False, (R1.digest,) * 2, True),
        (R1, False, (), False),
    ],
)
def test_who_is_blamed_for_a_crash(champion, power_cut, before, blamed):
    shell = Shell(Activation(kept(champion, interrupted=before)))
    shell(m.CrashFound(R1, power_cut=power_cut), m.Started(), m.Assigned(assignment(R1, champion)))
    assert bool(shell.state.bad) is blamed
    assert (m.Load(R1) in shell.log) is (not blamed and champion != R0)


def test_what_an_assignment_does_not_mention_stays_and_removal_is_explicit():
    shell = in_canary()
    assert shell(m.Removed()) == [m.EndCanary(), m.Forget(), m.ClearIntent(R1.digest)]


class Life(RuleBasedStateMachine):
    """Any order of events, with the shell's promises kept: loads answer, crashes restore what was persisted."""

    releases = st.integers(0, 4).map(release)

    @initialize()
    def begin(self):
        self.disk = kept()
        self.bad = ()
        self.intents = set()
        self.ever = set()
        self.state = Activation(self.disk)
        self.routed = None
        self.split = None

    def feed(self, event):  # noqa: C901 - one case for each command
        before = self.state
        self.state, commands = machine.step(self.state, m.Stamped(event, AT))
        for command in commands:
            match command:
                case m.Persist(state):
                    self.disk = state
                case m.Quarantine(entry):
                    self.bad = (*self.bad, entry)
                case m.MarkIntent(found):
                    self.intents.add(found.digest)
                case m.ClearIntent(digest):
                    assert (
                        digest not in {r.digest for r in (self.state.loading,) if r} or digest not in self.state.marked
                    )
                    self.intents.discard(digest)
                case m.Serve(found):
                    assert found.digest in self.state.resident
                    self.routed = found
                case m.EndCanary():
                    self.split = None
                case m.StartCanary(found):
                    assert found.digest in self.state.resident
                    assert self.split is None
                    self.split = found
                case m.Load(found):
                    assert all(entry.digest != found.digest for entry in self.bad), "a bad digest is loaded again"
                    proven = machine.is_proven(self.state, found)
                    assert proven or found.digest in self.intents, "loaded without a mark"
                case m.Unload(digest):
                    assert digest not in self.state.resident
        if before.champion is not None:
            assert self.state.champion is not None, "a champion was lost"

    @rule(wanted=releases, approved=st.none() | releases, barred=st.sets(releases.map(lambda r: r.digest), max_size=2))
    def assign(self, wanted, approved, barred):
        self.feed(m.Assigned(assignment(wanted, approved), barred=frozenset(barred)))

    @rule(barred=st.sets(releases.map(lambda r: r.digest), max_size=2))
    def bar(self, barred):
        self.feed(m.Barred(frozenset(barred)))

    @precondition(lambda self: self.state.loading is not None)
    @rule(outcome=st.sampled_from(["loaded", "loaded", "refused", "missing"]))
    def finish_load(self, outcome):
        digest = self.state.loading.digest
        if outcome == "loaded":
            self.feed(m.Loaded(digest))
        else:
            self.feed(m.LoadFailed(digest, REFUSED if outcome == "refused" else MISSING))

    @rule(told_anew=st.booleans())
    def change_inputs(self, told_anew):
        self.feed(m.InputsChanged(told_anew=told_anew))

    @precondition(lambda self: self.state.canary is not None)
    @rule(verdict=st.sampled_from([PASS, FAIL]))
    def judge(self, verdict):
        self.feed(m.VerdictReached(self.state.canary.digest, verdict))

    @precondition(lambda self: self.state.canary is not None)
    @rule()
    def trip(self):
        digest = self.state.canary.digest
        self.feed(m.GuardrailsTripped(digest, METRIC))
        assert self.state.canary is None or self.state.canary.digest != digest

    @rule(power_cut=st.booleans())
    def crash(self, power_cut):
        left = sorted(self.intents)
        known = {release(number).digest: release(number) for number in range(5)}
        self.state = Activation(self.disk, bad=self.bad)
        self.routed = self.split = None
        self.intents = set()
        for digest in left:
            self.feed(m.CrashFound(known[digest], power_cut=power_cut))
        assert self.state.champion == self.disk.champion
        self.feed(m.Started())

    @invariant()
    def shell_and_state_agree(self):
        if self.state.serving is not None:
            assert self.routed == self.state.serving
        assert self.split == self.state.canary
        assert self.disk == self.state.kept
        assert self.bad == self.state.bad
        assert self.intents == self.state.marked

    @invariant()
    def a_barred_release_serves_only_if_nothing_better_is_resident(self):
        state = self.state
        if state.serving is None or state.may_run(state.serving) or state.assigned is None:
            return
        better = [state.assigned.target, state.assigned.approved, state.kept.previous]
        assert not any(state.may_run(r) and r.digest in state.resident for r in better if r is not None)

    @invariant()
    def a_canary_is_a_good_challenger_against_a_good_champion(self):
        state = self.state
        if state.canary is not None:
            assert state.may_run(state.canary)
            assert state.may_run(state.serving)
            assert state.canary != state.serving

    @invariant()
    def memory_is_bounded(self):
        assert len(self.state.resident) <= 4

    @invariant()
    def a_champion_has_a_time(self):
        assert (self.state.kept.champion is None) == (self.state.kept.champion_since is None)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
