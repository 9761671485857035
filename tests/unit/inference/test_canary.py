import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.evidence.collect import LATENCY_LIMIT, total
from skerry_core.trust.policy import SignerIdentity
from skerry_edge.inference import guardrails
from skerry_edge.inference.backend import ModelRunError
from skerry_edge.inference.canary import CHALLENGER, FALLBACK, Canary, in_share
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


def test_a_challenger_that_hangs_costs_one_wait_and_then_none():
    hanging = threading.Event()

    def hang():
        hanging.wait()
        return SCORES

    canary, tripped = make(SCORES, hang, latency_limit=timedelta(milliseconds=50))
    for _ in range(3):
        answer = canary.answer(INPUT)
        assert (answer.variant, answer.pair.error) == (FALLBACK, LATENCY_LIMIT)
    assert canary.challenger.session.runs == 1
    assert [metric.name for metric in tripped] == ["latency_limit"]
    assert summed(canary).errors == 0
    assert sum(summed(canary).ratios.values()) == 3
    canary.stop()
    assert canary.challenger.session.stopped
    hanging.set()


def test_ending_a_canary_does_not_disturb_a_healthy_session():
    canary, _ = make(SCORES, SCORES)
    canary.answer(INPUT)
    canary.stop()
    assert not canary.challenger.session.stopped
    assert canary.answer(INPUT).variant == FALLBACK  # a request that came in just before
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
