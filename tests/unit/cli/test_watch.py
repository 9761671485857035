from itertools import chain, repeat

import pytest

from skerry_core.errors import UserMustActError
from skerry_operator.cli import watch
from skerry_operator.kube.api import WatchEvent
from skerry_operator.kube.errors import UnavailableError
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import MODEL_RELEASES
from tests.unit.cli.fleet import put, release

RINGS = [{"name": "internal", "sites": 2, "assigned": 2, "succeeded": 1, "failed": 1}]
METRIC = {"name": "Disagreement", "observed": 0.4321, "limit": 0.07, "site": "site-a", "message": "over 300 pairs"}


class ScriptedKube(MemoryKube):
    """Writes the next status whenever somebody watches; raises what is an exception."""

    def __init__(self, *steps):
        super().__init__()
        self.steps = iter(steps)

    def watch(self, resource, *, since, namespace=None, name=None, timeout):
        match next(self.steps):
            case Exception() as error:
                raise error
            case None:
                self.delete(resource, name, namespace)
            case "nothing":
                pass
            case "bookmark":
                yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": since}})
            case status:
                found = self.get(resource, name, namespace)
                self.replace(resource, {**found, "status": status}, "status")
        yield from super().watch(resource, since=since, namespace=namespace, name=name, timeout=timeout)


@pytest.fixture
def scripted(monkeypatch, kube):
    """A hub whose release goes through these steps, beginning with Pending."""
    monkeypatch.setattr(watch, "_RETRY_SECONDS", 0)

    def scripted(*steps):
        scripted_kube = ScriptedKube(*steps)
        put(scripted_kube, MODEL_RELEASES, release("1.3.0", "Pending"))
        hub = watch.cluster.Cluster(scripted_kube, "plants", "", "")
        monkeypatch.setattr(watch.cluster, "connect", lambda _: hub)
        return scripted_kube

    return scripted


@pytest.mark.parametrize(("phase", "code"), [("Approved", 0), ("RolledBack", 1), ("Refused", 1), ("Superseded", 1)])
def test_the_exit_code_is_the_decision(run, scripted, phase, code):
    scripted({"phase": "Progressing", "ring": "internal", "rings": RINGS}, {"phase": phase, "rings": RINGS})
    answer = run("watch", "har-1.3.0")
    assert answer.exit_code == code
    assert f"har 1.3.0  130000000000  {phase}" in answer.stdout


def test_a_decided_release_needs_no_watching(run, kube):
    put(kube, MODEL_RELEASES, release("1.0.0", "Approved"))
    assert run("watch", "har-1.0.0").exit_code == 0


def test_shows_why_it_came_back(run, scripted):
    scripted({"phase": "RolledBack", "rings": RINGS, "ring": "internal", "failedMetric": METRIC})
    answer = run("watch", "har-1.3.0")
    assert "Disagreement 0.4321 (allowed 0.07) at site-a: over 300 pairs" in answer.stdout
    assert "> internal" in answer.stdout


def test_shows_why_it_stalls(run, scripted):
    stalled = {
        "type": "Stalled",
        "status": "True",
        "reason": "StoreCredentialsRefused",
        "message": "correct the key pair",
        "lastTransitionTime": "2026-08-01T12:00:00Z",
    }
    scripted({"phase": "Refused", "conditions": [stalled]})
    assert "Stalled: correct the key pair" in run("watch", "har-1.3.0").stdout


def test_outlives_the_api_servers_absence_and_watches_that_end(scripted):
    kube = scripted(
        UnavailableError("ApiUnavailable", "down"),
        "nothing",
        "bookmark",
        {"phase": "Progressing"},
        {"phase": "Approved"},
    )
    phases = [found.status.phase for found in watch.follow(kube, "har-1.3.0", "plants", float("inf"))]
    assert phases == ["Pending", "Progressing", "Approved"]


def test_a_deleted_release_is_not_waited_for(run, scripted):
    scripted(None)
    answer = run("watch", "har-1.3.0")
    assert answer.exit_code == 1
    assert "there is no ModelRelease 'har-1.3.0'" in answer.stderr


def test_a_release_that_never_was(run, kube):
    answer = run("watch", "har-9.9.9")
    assert answer.exit_code == 1
    assert "there is no ModelRelease 'har-9.9.9' in namespace plants" in answer.stderr


@pytest.mark.parametrize("step", ["nothing", UnavailableError("ApiUnavailable", "down")])
def test_gives_up_in_time(run, scripted, monkeypatch, step):
    scripted(*[step] * 3)
    clock = chain([0.0], repeat(3601.0))
    monkeypatch.setattr(watch.time, "monotonic", lambda: next(clock))
    answer = run("watch", "har-1.3.0", "--timeout", "1h")
    assert answer.exit_code == 1
    assert "har-1.3.0 is Pending after 1h" in answer.stderr


def test_a_timeout_is_a_duration(run, kube):
    answer = run("watch", "har-1.3.0", "--timeout", "later")
    assert answer.exit_code == 2
    assert "is not a duration" in answer.stderr


def test_follow_raises_for_what_is_not_there(kube):
    with pytest.raises(UserMustActError, match="there is no ModelRelease"):
        list(watch.follow(kube, "nothing", "plants", float("inf")))
