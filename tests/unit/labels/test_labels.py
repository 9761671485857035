"""Labels of a real log joined to the predictions of a real log."""

import json

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.model import LabelError
from skerry_core.batch.flags import Flags
from skerry_core.evidence.window import MICROS, Labelled
from skerry_core.labels.standing import Standing, Terms
from skerry_core.lineage.record import PairRecord, Prediction
from skerry_core.sync_policy.defaults import BUILT_IN_STREAMS
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.inference.labels import terms_of
from skerry_edge.ingest.cloudevent import from_json
from skerry_edge.labels.joiner import WAIT_SECONDS
from skerry_edge.labels.labels import Labels
from skerry_edge.labels.metrics import LabelCollector
from tests.unit.inference.releases import assignment, release
from tests.unit.ingest.worlds import NOW, event_logs, raw_event
from tests.unit.verdict.test_thresholds import ASKED

A, B = "sha256:a", "sha256:b"


def settings(stream):
    policy = BUILT_IN_STREAMS[stream]
    return StreamSettings(stream, policy.tier.rank, policy.max_age, policy.max_bytes)


class World:
    """A node's logs, and what follows the labels in them."""

    def __init__(self, logs, wall) -> None:
        self.logs, self.wall = logs, wall
        self.predictions, self.log = (logs.open(settings(name)) for name in ("predictions", "labels"))
        self.now = 0.0
        self.asked = {}
        self.withdrawn = frozenset()
        self.labels = self.again()

    def again(self) -> Labels:
        """As after a restart."""
        return Labels(
            "site-a",
            "node-1",
            self.logs.directory("labels").parent,
            lambda: self.asked,
            self.withdrawals,
            lambda: self.now,
        )

    def withdrawals(self, stream, held, place):
        subjects, self.withdrawn = self.withdrawn, frozenset()
        return held, place, subjects

    def predict(self, decided=(3.0,), beside=None) -> str:
        """Log a prediction of B's, with what A decided if both ran; its id."""
        pair = None if beside is None else PairRecord(A, B, 0.001, 0.001, rows=len(beside), decided=beside)
        variant = "champion" if beside is None else "challenger"
        body = Prediction("r", "team", "har", "1.0.0", B, variant, 0.001, 1, pair=pair, decided=decided)
        (seq,) = self.predictions.append([NewRecord(msgspec.json.encode(body), self.wall[0], self.wall[0])])
        return f"site-a/node-1/{self.predictions.epoch}/{seq}"

    def say(self, prediction, value=3, *, after=60 * MICROS, flags=Flags.NONE, subject="p", **more) -> None:
        body = from_json(raw_event("x", subject=subject, data={"prediction": prediction, "value": value, **more})).body
        at = self.wall[0] + after
        self.log.append([NewRecord(body, at, at, flags)])

    def follow(self, labels=None):
        labels = labels or self.labels
        while labels.step():
            pass
        self.now += 10
        labels.step()
        return labels.tally


@pytest.fixture
def world(tmp_path):
    wall = [NOW]
    with event_logs(tmp_path / "log", wall=lambda: wall[0] * 1000) as logs:
        yield World(logs, wall)


def test_labels_are_joined_and_tell_how_accurate_both_were(world):
    ids = [world.predict((3.0,), (1.0,)) for _ in range(4)]
    for each, value in zip(ids, (3, 3, 1, 2), strict=True):
        world.say(each, value)
    tally = world.follow()
    assert tally.labelled(A, B) == Labelled(4, 3 * MICROS, 2 * MICROS)
    assert world.labels.labelled(A, B) == tally.labelled(A, B)
    assert tally.standings == {Standing.ELIGIBLE: 4}


def test_a_label_twice_then_contradicted_then_settled(world):
    about = world.predict()
    world.say(about)
    world.say(about, after=120 * MICROS)
    assert world.follow().standings == {Standing.ELIGIBLE: 1}
    assert world.labels.counts.repeated == 1
    world.say(about, 4)
    tally = world.follow()
    assert tally.standings == {Standing.CONFLICT: 1}
    assert tally.sides == {}
    world.say(about, 4, authority=1)
    tally = world.follow()
    assert tally.standings == {Standing.ELIGIBLE: 1}
    (total,) = tally.sides.values()
    assert (total.rows, total.error) == (1, MICROS)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"training": False}, Standing.NO_CONSENT),
        ({"after": 31 * 86_400 * MICROS}, Standing.TOO_OLD),
        ({"flags": Flags.CLOCK_SUSPECT}, Standing.AGE_UNKNOWN),
        ({"value": None, "values": [3, 3]}, Standing.NOT_COMPARABLE),
    ],
)
def test_why_training_may_not_use_it(world, said, found):
    world.say(world.predict(), **said)
    assert world.follow().standings == {found: 1}


def test_a_prediction_of_a_clock_that_was_set_back_is_of_no_age(world):
    world.predict()
    world.wall[0] -= 3600 * MICROS
    world.say(world.predict())
    assert world.follow().standings == {Standing.AGE_UNKNOWN: 1}


def test_a_label_waits_for_its_prediction_and_not_for_ever(world):
    world.predict()
    first, second = (f"site-a/node-1/{world.predictions.epoch}/{seq}" for seq in (2, 3))
    world.say(first)
    world.say(second)
    assert world.follow().standings == {Standing.UNKNOWN_PREDICTION: 2}
    world.predict()
    assert world.follow().standings == {Standing.ELIGIBLE: 1, Standing.UNKNOWN_PREDICTION: 1}
    world.now += WAIT_SECONDS
    world.follow()
    world.predict()
    assert world.follow().standings == {Standing.ELIGIBLE: 1, Standing.UNKNOWN_PREDICTION: 1}


@pytest.mark.parametrize("about", ["site-a/node-2/00aa/1", "site-b/node-1/00aa/1"])
def test_another_node_s_prediction_is_left_to_the_hub(world, about):
    world.say(about)
    assert world.follow().standings == {}
    assert world.labels.counts.elsewhere == 1


def test_a_restart_tells_the_same(world):
    for value in (3, 1, 2):
        world.say(world.predict((3.0,), (1.0,)), value)
    before = world.follow()
    assert world.follow(world.again()) == before


def test_what_was_redacted_is_forgotten(world):
    world.say(world.predict(), subject="p7")
    world.say(world.predict(), subject="p8")
    assert world.follow().standings == {Standing.ELIGIBLE: 2}
    assert world.logs.redact("labels", lambda body: json.loads(body).get("subject") == "p7") == 1
    world.withdrawn = frozenset({"p7"})
    assert world.follow().standings == {Standing.ELIGIBLE: 1}


def test_only_the_newest_are_held(world):
    world.labels._joiner.most = 3
    for _ in range(5):
        world.say(world.predict())
    assert world.follow().standings == {Standing.ELIGIBLE: 3}
    assert world.labels.counts.forgotten == 2


def test_a_model_s_own_terms_hold_once_they_are_there(world):
    world.say(world.predict((3.0,), (1.5,)), 2)
    assert world.follow().labelled(A, B) == Labelled(1, MICROS, MICROS)
    world.asked = {("team", "har"): Terms(error=LabelError.ABSOLUTE)}
    assert world.follow().labelled(A, B) == Labelled(1, MICROS // 2, MICROS)
    world.asked = {("team", "har"): Terms(min_authority=1)}
    assert world.follow().standings == {Standing.LOW_AUTHORITY: 1}


def test_terms_come_from_the_assignment():
    asked = assignment(release(1)).model_copy(update={"analysis": ASKED})
    labels = ASKED.labels
    assert terms_of([asked, assignment(release(1))]) == {
        ("team", "har"): Terms(labels.error, labels.max_age, labels.min_authority)
    }
    assert terms_of([assignment(release(1))]) == {}


def test_metrics(world):
    for value in (3, 3, 1, 2):
        world.say(world.predict((3.0,), (1.0,)), value)
    world.say("site-a/node-2/00aa/1")
    world.follow()
    registry = CollectorRegistry()
    registry.register(LabelCollector(world.labels))
    side = {"model": "team/har", "digest": B, "variant": "challenger"}
    assert registry.get_sample_value("skerry_labelled_rows", side) == 4
    assert registry.get_sample_value("skerry_labelled_error", side) == 0.5
    assert registry.get_sample_value("skerry_labelled_error", {**side, "digest": A, "variant": "champion"}) == 0.75
    assert registry.get_sample_value("skerry_labelled_predictions", {"standing": "Eligible"}) == 4
    assert registry.get_sample_value("skerry_labelled_predictions", {"standing": "Conflict"}) == 0
    assert registry.get_sample_value("skerry_labels_total") == 5
    assert registry.get_sample_value("skerry_labels_elsewhere_total") == 1
