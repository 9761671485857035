"""Requests that wait for what is in the log: who waits, until when, and what is read then."""

import json
import threading
from types import SimpleNamespace

import pytest

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from skerry_edge.events.follow import Place
from skerry_edge.events.mark import read_mark
from skerry_edge.events.record import NewRecord
from skerry_edge.features import features as module
from skerry_edge.features.catch_up import CatchUp
from skerry_edge.features.engine import compiled
from skerry_edge.features.features import Features
from skerry_edge.features.materializer import Sources, Standing
from skerry_edge.features.needs import Needs
from skerry_edge.inference.binding import fill
from skerry_edge.inference.features import entity_features
from skerry_edge.inference.oip.codec import decode_request
from skerry_edge.inference.oip.errors import ProtocolError
from tests.unit.features.sets import document, feature
from tests.unit.features.test_features import wait_for
from tests.unit.features.test_materializer import DIGESTS, ONE, Site
from tests.unit.inference.test_binding import body, model, tensor

DIGEST = DIGESTS[ONE]
LONG = 60.0


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.logs.close()


# Waiting


class Applier:
    """Counts how often it was woken, and has applied up to a number."""

    def __init__(self, seconds):
        self.woken, self.seq = 0, 0
        self.catch_up = CatchUp(self.wake, seconds)

    def wake(self):
        self.woken += 1

    def wait(self, seq):
        self.catch_up.wait("d", Place("e", seq), lambda place: self.seq >= place.seq)

    def apply(self, seq):
        self.seq = seq
        self.catch_up.moved()

    def waiters(self, *ends):
        threads = [threading.Thread(target=self.wait, args=(end,), daemon=True) for end in ends]
        for thread in threads:
            thread.start()
        return threads


def test_each_waits_for_its_own_end():
    applier = Applier(LONG)
    first, second = applier.waiters(3, 5)
    wait_for(lambda: applier.woken == 2)
    applier.apply(4)
    wait_for(lambda: not first.is_alive())
    assert second.is_alive()
    applier.apply(5)
    wait_for(lambda: not second.is_alive())


def test_who_is_too_far_behind_is_waited_for_once():
    applier = Applier(0.0)
    applier.wait(5)
    for _ in range(2):
        applier.wait(6)
    assert applier.woken == 1
    applier.seq = 5
    applier.wait(6)
    assert applier.woken == 2


def test_the_first_whose_time_is_over_ends_the_wait_of_all():
    applier = Applier(LONG)
    (other,) = applier.waiters(5)
    wait_for(lambda: applier.woken == 1)
    applier.catch_up._seconds = 0.0
    applier.wait(5)
    wait_for(lambda: not other.is_alive())


# What is left to apply


def test_a_version_knows_whether_anything_is_left(site):
    features = site.start()
    features.step()
    course = features.course(DIGEST)
    assert course.has_applied(course.log_end())
    site.add(("a", 1), ("a", 2))
    end = course.log_end()
    assert (end.seq, course.has_applied(end)) == (2, False)
    features.step()
    assert course.has_applied(end)
    site.add(("a", 3))
    assert course.has_applied(end)
    assert not course.has_applied(course.log_end())


def test_logs_that_were_set_aside_are_left_too(site):
    site.add(("a", 1))
    site.logs.close()
    (site.path / "log" / "vitals" / "log.json").unlink()
    site.open()
    features = site.start()
    features._look(0.0)
    course = features.course(DIGEST)
    assert not course.has_applied(course.log_end())
    site.follow(features)
    assert course.has_applied(course.log_end())


def test_what_damage_took_is_not_waited_for(site):
    site.add(("a", 1))
    features = site.start()
    site.follow(features)
    folder = site.path / "log" / "vitals"
    (segment,) = folder.glob("*.seg")
    before = read_mark(folder, site.stream.epoch)
    site.add(("a", 2))
    after = read_mark(folder, site.stream.epoch)
    with segment.open("r+b") as file:
        file.seek(before.end)
        file.write(b"\xff" * (after.end - before.end))
    course = features.course(DIGEST)
    answers = []
    for _ in range(3):
        answers.append(course.has_applied(course.log_end()))
        features.step()
    assert answers == [False, False, True]


# Requests

AGAIN = {"onStale": "Recompute", "ttl": "1m"}
SET = document(
    [
        feature("mean", "Mean", **AGAIN, default=None),
        feature("count", "Count", None, **AGAIN),
        feature("sum", "Sum", ttl="1m"),
    ],
    stream="vitals",
)
DATA = canonical_json(SET)
SET_DIGEST = digests.of_bytes(DATA)


class Served:
    """A node whose follower looks at its log only when it is woken."""

    def __init__(self, site, seconds):
        self.site = site
        needs = Needs(frozenset([SET_DIGEST]), certain=True)
        sources = Sources(site.path / "log", 1, lambda: needs, lambda _: DATA, compiled)
        self.features = Features(
            site.path / "features", sources, lambda: None, site.node.clock, catch_up_seconds=seconds
        )
        self.waits = 0
        wait = self.features._catch_up.wait

        def counted(*arguments):
            self.waits += 1
            wait(*arguments)

        self.features._catch_up.wait = counted
        self.event(1.0)
        self.features.start()
        wait_for(lambda: self.features.standing(SET_DIGEST)[0] is Standing.WARM)

    def event(self, rms, subject="press-7"):
        now = self.site.node.wall
        data = json.dumps({"subject": subject, "data": {"rms": rms}}).encode()
        self.site.stream.append([NewRecord(data, now, now)])

    def ask(self, *names, entity="press-7"):
        ref = FeatureSetRef(namespace="plant", name="presses", version="1.0.0", digest=SET_DIGEST)
        binding = FeatureInput(input="f", feature_set=ref, features=names)
        of = model(binding, width=len(names))
        return fill(of, decode_request(body(tensor("x", 1, 4), entity=entity), of), self.features)


@pytest.fixture
def serve(site, monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", LONG)
    served = []

    def make(seconds=LONG):
        served.append(Served(site, seconds))
        return served[-1]

    yield make
    for each in served:
        each.features.stop()


def test_what_is_in_the_log_is_read_before_a_request_is_refused(serve):
    served = serve()
    served.site.node.passes(90)
    served.event(5.0)
    filled = served.ask("mean", "count")
    assert filled.inputs["f"].tolist() == [[3.0, 2.0]]
    (lineage,) = filled.lineage
    assert (lineage.ages, lineage.seq, lineage.events, lineage.stale) == ((0, 0), 2, (2, 2), ())
    assert served.waits == 1


@pytest.mark.parametrize("case", ["present", "not asked for", "nothing left", "another entity's"])
def test_whose_values_stay_as_they_are(serve, case):
    served = serve()
    if case != "present":
        served.site.node.passes(90)
    if case in {"present", "not asked for"}:
        served.event(5.0)
    if case == "another entity's":
        served.event(5.0, "press-8")
    if case == "present":
        assert served.ask("mean").inputs["f"].tolist() == [[1.0]]
    elif case == "not asked for":
        assert served.ask("sum").lineage[0].stale == ("sum",)
    else:
        with pytest.raises(ProtocolError, match="mean of plant/presses is OUTSIDE_MAX_AGE: it is 90"):
            served.ask("mean")
        assert served.ask("count").lineage[0].stale == ("count",)
    assert served.waits == (case == "another entity's")


def test_a_request_goes_on_when_its_time_is_over(serve):
    served = serve(0.0)
    step = served.features._materializer.step
    held = threading.Event()
    served.features._materializer.step = lambda: held.wait(LONG) and step()
    served.event(5.0, "press-8")
    for _ in range(2):
        assert served.ask("count", entity="press-8").lineage[0].stale == ("count",)
    held.set()
    wait_for(lambda: served.ask("count", entity="press-8").inputs["f"].tolist() == [[1.0]])


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_nobody_waits_for_who_was_stopped(serve, when):
    served = serve()
    if when == "before":
        served.features.stop()
        served.event(5.0, "press-8")
        assert served.ask("count", entity="press-8").lineage[0].stale == ("count",)
        assert served.waits == 0
        return
    served.features._materializer.step = lambda: False
    served.event(5.0, "press-8")
    found = SimpleNamespace()
    thread = threading.Thread(
        target=lambda: setattr(found, "filled", served.ask("count", entity="press-8")), daemon=True
    )
    thread.start()
    wait_for(lambda: served.waits == 1)
    served.features.stop()
    wait_for(lambda: not thread.is_alive())
    assert found.filled.lineage[0].stale == ("count",)


def test_several_requests_wait_together(serve):
    served = serve()
    step = served.features._materializer.step
    held = threading.Event()
    served.features._materializer.step = lambda: held.wait(LONG) and step()
    served.event(5.0, "press-8")
    found = []
    ask = lambda: found.append(served.ask("count", entity="press-8").inputs["f"].tolist())  # noqa: E731
    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: served.waits == 3)
    held.set()
    wait_for(lambda: len(found) == 3)
    assert found == [[[1.0]]] * 3


def test_the_nodes_own_port_tells_what_a_request_would_get(serve):
    served = serve()
    served.event(5.0, "press-8")
    answer = json.loads(entity_features(served.features, "plant", "presses", ("press-8",)).body)
    assert [each["value"] for each in answer["versions"][0]["features"]] == [5.0, 1.0, 5.0]
    assert answer["versions"][0]["applied"]["seq"] == 2
