import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.evidence.collect import LATENCY_LIMIT, total
from skerry_core.trust.policy import SignerIdentity
from skerry_edge.inference import guardrails
from skerry_edge.inference.backend import ModelRunError
from skerry_edge.inference.canary import CHALLENGER, CHAMPION, FALLBACK, Canary, in_share
from skerry_edge.inference.guardrails import TripCounter
from skerry_edge.inference.loader import Resident
from tests.unit.inference.releases import manifest, release
from tests.unit.verdict.conformance import LIMITS

INPUT = {"x": np.ones((2, 4), np.float32)}
SCORES = np.array([[1, 2, 3], [3, 2, 1]], np.float32)
SIGNER = SignerIdentity(subject="a@example.test", issuer="https://issuer.test")


class FakeSession:
    """A model whose answer is given, as an array, an error, or a function."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.runs = 0
        self.stopped = False

    def run(self, inputs):
        self.runs += 1
        answer = self.answer() if callable(self.answer) else self.answer
        if isinstance(answer, Exception):
            raise answer
        return {"scores": answer}

    def stop(self) -> None:
        self.stopped = True


def make(champion, challenger, **limits):
    tripped = []
    canary = Canary(
        Resident(release(0), manifest(), SIGNER, FakeSession(champion)),
        Resident(release(1), manifest("1.1.0"), SIGNER, FakeSession(challenger)),
        LIMITS.model_copy(update={"guardrails": LIMITS.guardrails.model_copy(update=limits)}),
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        tripped=tripped.append,
    )
    return canary, tripped


def summed(canary):
    return total(canary.evidence())


def test_the_challenger_answers_and_the_pair_is_counted():
    canary, _ = make(SCORES, np.roll(SCORES, 1, axis=1))
    answer = canary.answer(INPUT)
    assert (answer.variant, answer.resident.release) == (CHALLENGER, release(1))
    assert (summed(canary).rows, summed(canary).disagreements, summed(canary).errors) == (2, 2, 0)


FAILED = ModelRunError("ModelRunFailed", "boom")
NAN = np.array([[np.nan, 0, 0], [3, 2, 1]], np.float32)


@pytest.mark.parametrize(
    ("bad", "guardrail", "limits"),
    [
        (FAILED, guardrails.EXCEPTION, {}),
        (NAN, guardrails.NON_FINITE, {}),
        (np.full((2, 3), np.inf, np.float32), guardrails.NON_FINITE, {}),
        (SCORES[:1], guardrails.SHAPE, {}),
        (SCORES.astype(np.float64), guardrails.SHAPE, {}),
        (SCORES, guardrails.RANGE, {"output_max": 2.5}),
        (SCORES, guardrails.RANGE, {"output_min": 1.5}),
    ],
)
def test_a_guardrail_gives_the_request_to_the_champion_and_then_ends_the_canary(bad, guardrail, limits):
    canary, tripped = make(SCORES, bad, **limits)
    for trips in range(1, 4):
        answer = canary.answer(INPUT)
        assert (answer.variant, answer.resident.release) == (FALLBACK, release(0))
        np.testing.assert_array_equal(answer.run.outputs["scores"], SCORES)
        assert answer.pair.error == guardrail
        assert canary.running is (trips < 3)
    assert [metric.name for metric in tripped] == [guardrails.METRICS[guardrail]]
    assert not canary.takes("any")
    assert summed(canary).errors == summed(canary).trips == 3


@pytest.mark.parametrize(
    ("decided", "named"), [("scores", ("scores", "extra")), ("extra", ("extra",))], ids=["more", "others"]
)
def test_outputs_that_the_champion_does_not_have_cost_no_answer(decided, named):
    """Two releases that came while nothing served were not held against each other when they were loaded."""
    outputs = tuple(manifest().outputs[0].model_copy(update={"name": name}) for name in named)
    decision = manifest().decision.model_copy(update={"output": decided})
    session = FakeSession(SCORES)
    session.run = lambda _: dict.fromkeys(named, SCORES)
    tripped = []
    canary = Canary(
        Resident(release(0), manifest(), SIGNER, FakeSession(SCORES)),
        Resident(release(1), manifest("1.1.0", outputs=outputs, decision=decision), SIGNER, session),
        LIMITS,
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        tripped=tripped.append,
    )
    answer = canary.answer(INPUT)
    assert (answer.variant, answer.pair.error) == (FALLBACK, guardrails.SHAPE)


def test_what_the_champion_cannot_answer_either_is_not_held_against_the_challenger():
    for champion in (FAILED, NAN):
        for challenger in (FAILED, NAN):
            canary, tripped = make(champion, challenger)
            for _ in range(5):
                if champion is FAILED:
                    with pytest.raises(ModelRunError):
                        canary.answer(INPUT)
                else:
                    assert canary.answer(INPUT).variant == FALLBACK
            assert not tripped
            assert summed(canary) is None


def test_a_challenger_that_can_answer_does_so_where_the_champion_fails():
    canary, _ = make(FAILED, SCORES)
    assert canary.answer(INPUT).variant == CHALLENGER
    canary, _ = make(NAN, SCORES)
    assert canary.answer(INPUT).variant == CHALLENGER
    assert summed(canary).disagreements == 0


class Gate:
    """A model that answers only while the gate is open; `entered` tells that it was asked."""

    def __init__(self) -> None:
        self.opened, self.entered = threading.Event(), threading.Event()

    def __call__(self):
        self.entered.set()
        self.opened.wait()
        return SCORES


def test_one_stall_is_one_trip_however_many_requests_meet_it():
    gate = Gate()
    canary, tripped = make(SCORES, gate, latency_limit=timedelta(milliseconds=50))
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda _: canary.answer(INPUT), range(6)))
    answers += [canary.answer(INPUT) for _ in range(3)]
    assert {answer.resident.release for answer in answers} == {release(0)}
    errors = [answer.pair.error for answer in answers if answer.pair is not None]
    assert errors == [LATENCY_LIMIT]
    assert sorted(answer.variant for answer in answers) == [CHAMPION] * 8 + [FALLBACK]
    assert canary.challenger.session.runs == 1
    assert (canary.running, tripped) == (True, [])
    assert (summed(canary).trips, summed(canary).errors, sum(summed(canary).ratios.values())) == (1, 0, 1)

    gate.opened.set()
    deadline = time.monotonic() + 10
    while canary.answer(INPUT).variant != CHALLENGER:
        assert time.monotonic() < deadline
    assert canary.running


@pytest.mark.slow
def test_waiting_in_the_queue_is_not_held_against_the_challenger():
    def busy():
        time.sleep(0.3)
        return SCORES

    canary, tripped = make(SCORES, busy, latency_limit=timedelta(seconds=1), max_trips=1)
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: canary.answer(INPUT), range(8)))
    assert {answer.variant for answer in answers} == {CHALLENGER, CHAMPION}
    assert all(answer.pair is None for answer in answers if answer.variant == CHAMPION)
    assert (canary.running, tripped, summed(canary).trips) == (True, [], 0)


def test_a_stall_of_the_whole_machine_is_not_held_against_the_challenger():
    def stalled():
        time.sleep(0.06)
        return SCORES

    canary, tripped = make(stalled, Gate(), latency_limit=timedelta(milliseconds=100), max_trips=1)
    answer = canary.answer(INPUT)
    assert (answer.variant, answer.pair) == (CHAMPION, None)
    assert (canary.running, tripped, summed(canary)) == (True, [], None)


@pytest.mark.slow
def test_a_challenger_that_hangs_costs_one_wait_and_ends_within_a_window():
    gate = Gate()
    window = timedelta(seconds=0.6)
    canary, tripped = make(SCORES, gate, latency_limit=timedelta(milliseconds=50), window=window)
    assert canary.answer(INPUT).variant == FALLBACK
    deadline = time.monotonic() + 10
    while canary.running:
        assert time.monotonic() < deadline
        canary.answer(INPUT)
    assert canary.challenger.session.runs == 1
    assert [metric.name for metric in tripped] == ["latency_limit"]
    assert (summed(canary).trips, summed(canary).errors) == (3, 0)
    canary.stop()
    assert canary.challenger.session.stopped
    gate.opened.set()


def test_ending_a_canary_does_not_disturb_a_healthy_session():
    canary, _ = make(SCORES, SCORES)
    canary.answer(INPUT)
    canary.stop()
    assert not canary.challenger.session.stopped
    assert canary.answer(INPUT).variant == CHAMPION  # a request that came in just before
    assert summed(canary).requests == 1


def test_expected_disagreement_counts_for_its_baseline_only():
    canary, _ = make(SCORES, SCORES)
    assert canary.expected is None
    measured = {"baseline": release(0).digest, "rate": 0.1, "samples": 100}
    for baseline, found in [(release(0).digest, True), (release(2).digest, False)]:
        expected = {**measured, "baseline": baseline}
        challenger = manifest("1.1.0").model_validate({**manifest("1.1.0").to_wire(), "expectedDisagreement": expected})
        canary.challenger = Resident(release(1), challenger, SIGNER, FakeSession(SCORES))
        assert (canary.expected is not None) is found


@settings(deadline=None)
@given(st.floats(0, 1), st.text(), st.text())
def test_the_share_is_stable_and_grows_with_the_fraction(fraction, request_id, other):
    digest = release(1).digest
    assert in_share(request_id, digest, fraction) == in_share(request_id, digest, fraction)
    if in_share(request_id, digest, fraction):
        assert in_share(request_id, digest, min(1.0, fraction + 0.1))
    assert in_share(other, digest, 1.0)
    assert not in_share(other, digest, 0.0)


def test_the_share_is_about_the_fraction_and_differs_between_canaries():
    ids = [f"request-{number}" for number in range(4000)]
    one = {name for name in ids if in_share(name, release(1).digest, 0.3)}
    other = {name for name in ids if in_share(name, release(2).digest, 0.3)}
    assert 1080 < len(one) < 1320
    assert 250 < len(one & other) < 470  # 0.09 of 4000 if independent


@pytest.mark.parametrize(
    ("times", "trips"), [([0, 1, 2], True), ([0, 30, 60], True), ([0, 30, 61], False), ([0, 50, 100, 105, 109], True)]
)
def test_trips_count_within_their_window(times, trips):
    counter = TripCounter(3, timedelta(minutes=1))
    assert [counter.trip(at) for at in times][-1] is trips
