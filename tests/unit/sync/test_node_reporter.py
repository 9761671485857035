from datetime import UTC, datetime, timedelta

import pytest

from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport, Serial
from skerry_core.errors import RetryError
from skerry_edge.sync import node_reporter as module
from skerry_edge.sync.inference_api import InferenceStatus
from skerry_edge.sync.node_reporter import PERIOD, REASSERT, SILENCE, NodeReporter
from skerry_edge.sync.report import Facts

START = datetime(2026, 3, 1, tzinfo=UTC)


class World:
    """Inference, the API server and the clock, as a reporter sees them."""

    def __init__(self, monkeypatch):
        self.time = START
        self.phase = ModelPhase.SERVING
        self.silent = self.api_down = False
        self.generation = 1
        self.written = []
        monkeypatch.setattr(module, "datetime", self)
        self.reporter = NodeReporter(self.ask, self.gather, self.write)

    def now(self, _zone):
        """Stands for datetime.now."""
        return self.time

    def ask(self):
        if self.silent:
            raise RetryError("InferenceUnreachable", "no answer")
        return InferenceStatus(models=(ModelReport(namespace="demo", model="har", phase=self.phase),))

    def gather(self, inference):
        serial = Serial(incarnation=1, n=1)
        return Facts(
            site="site-a", accepted=serial, serial=serial, models=None if inference is None else inference.models
        )

    def write(self, status):
        if self.api_down:
            raise RetryError("ApiUnavailable", "down")
        self.written.append(status)
        return self.generation

    def pass_time(self, passing: timedelta):
        for _ in range(int(passing / PERIOD)):
            self.time += PERIOD
            self.reporter.step()

    @property
    def reasons(self):
        return [status["conditions"][0]["reason"] for status in self.written]


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def test_writes_once_while_nothing_changes(world):
    world.pass_time(timedelta(seconds=30))
    assert world.reasons == ["Serving"]


def test_writes_each_change(world):
    world.reporter.step()
    for phase in (ModelPhase.CANARY, ModelPhase.SERVING):
        world.phase = phase
        world.pass_time(timedelta(seconds=5))
    assert world.reasons == ["Serving", "Canary", "Serving"]


def test_asserts_again_exactly_what_was_written(world):
    world.pass_time(REASSERT * 2 + timedelta(seconds=10))
    assert len(world.written) == 3
    assert world.written[0] == world.written[1] == world.written[2]


def test_a_restart_of_inference_is_no_news_but_silence_is(world):
    world.reporter.step()
    world.silent = True
    world.pass_time(SILENCE)
    assert world.reasons == ["Serving"]
    world.pass_time(timedelta(seconds=2))
    assert world.reasons == ["Serving", "InferenceUnreachable"]
    world.silent = False
    world.pass_time(timedelta(seconds=1))
    assert world.reasons[-1] == "Serving"


def test_while_both_containers_start_nothing_is_said(world):
    world.silent = True
    world.pass_time(SILENCE)
    assert world.written == []
    world.pass_time(timedelta(seconds=2))
    assert world.reasons == ["InferenceUnreachable"]


def test_a_status_that_could_not_be_written_is_written_later(world):
    world.api_down = True
    with pytest.raises(RetryError):
        world.reporter.step()
    world.api_down = False
    world.reporter.step()
    assert world.reasons == ["Serving"]


def test_an_edited_spec_is_observed(world):
    world.generation = 2
    world.pass_time(timedelta(seconds=3))
    assert [status["observedGeneration"] for status in world.written] == [1, 2]


def test_what_is_absent_now_is_removed_from_the_object(world):
    world.reporter.step()
    assert world.written[0]["disk"] is None
    assert "updatedAt" in world.written[0]
