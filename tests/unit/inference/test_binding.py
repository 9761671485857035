"""Inputs that come from features: who may give what, what a stale one does, and what is noted of it."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from skerry_core.bundle.manifest import DataType, TensorSpec
from skerry_core.errors import SkerryError
from skerry_core.features.apply import RawEvents
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from skerry_core.features.plan import compile_set
from skerry_core.lineage.record import Prediction
from skerry_edge.events.follow import Place
from skerry_edge.features.engine import CoreEngine, compiled
from skerry_edge.features.materializer import Standing
from skerry_edge.features.note import Adopted
from skerry_edge.features.version import Version
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.binding import NO_FEATURES, fill
from skerry_edge.inference.canary import Canary
from skerry_edge.inference.loader import Loader, Resident, _require_same_interface, failure_of
from skerry_edge.inference.oip.codec import decode_request
from skerry_edge.inference.oip.errors import ProtocolError
from skerry_edge.inference.prediction import Predictor
from skerry_edge.inference.routing import Route
from tests.unit.features.sets import document, feature
from tests.unit.features.test_version import Node, T
from tests.unit.inference.releases import manifest, release
from tests.unit.verdict.conformance import LIMITS

SECOND = 1_000_000
MEAN, COUNT, RECENCY = feature("mean", "Mean"), feature("count", "Count", None), feature("recency", "Recency", None)
STRICT = feature("mean", "Mean", onStale="Reject", ttl="1m", default=None)
LENIENT = feature("mean", "Mean", onStale="Reject", ttl="1m", default=7.5)


class Here:
    """Versions of sets on a node, by digest."""

    def __init__(self):
        self.node = Node()
        self.versions = {}

    def add(self, digest, *features, **more):
        engine = CoreEngine(compile_set(document(features, **more)))
        self.versions[digest] = Version(digest, engine, clock=self.node.clock, boot=1, get=lambda _: None)

    def event(self, press, rms, **more):
        body = json.dumps({"subject": press, "data": {"rms": rms}, **more}).encode()
        at = np.array([self.node.wall])
        for version in self.versions.values():
            version.apply(RawEvents([body], at, at), Place("e", 3), self.node.clock.read(), None)

    def document(self, digest):
        version = self.versions.get(digest)
        return version and version.engine.document

    def read(self, digest, entity):
        version = self.versions.get(digest)
        return version and version.read(entity)

    def catch_up(self, digest):
        pass


ONE, TWO = ("sha256:" + digit * 64 for digit in "12")


def bound(features, digest=ONE, name="f", **more):
    ref = FeatureSetRef(namespace="plant", name="presses", version="1.0.0", digest=digest)
    return FeatureInput(input=name, feature_set=ref, features=features, **more)


def model(*bindings, width=2, plain=True, datatype=DataType.FP32):
    inputs = [TensorSpec(name=binding.input, datatype=datatype, shape=(-1, width)) for binding in bindings]
    if plain:
        inputs.append(TensorSpec(name="x", datatype=DataType.FP32, shape=(-1, 4)))
    return manifest(inputs=tuple(inputs), features=bindings)


def tensor(name, rows, columns):
    return {"name": name, "shape": [rows, columns], "datatype": "FP32", "data": [1.0] * (rows * columns)}


def body(*tensors, **parameters):
    return json.dumps({"inputs": tensors, "parameters": parameters}).encode()


def ask(here, of, *tensors, **parameters):
    return fill(of, decode_request(body(*tensors, **parameters), of), here)


@pytest.fixture
def here():
    here = Here()
    here.add(ONE, MEAN, COUNT)
    here.event("press-7", 2.0)
    here.event("press-7", 4.0)
    return here


def test_filled_for_the_entity_that_the_request_names(here):
    here.node.passes(3)
    filled = ask(here, model(bound(("count", "mean"))), tensor("x", 1, 4), entity="press-7")
    assert filled.inputs["f"].tolist() == [[2.0, 3.0]]
    assert filled.inputs["f"].dtype == np.float32
    assert filled.entity == {"press": "press-7"}
    (lineage,) = filled.lineage
    assert (lineage.set, lineage.version, lineage.digest, lineage.seq) == ("plant/presses", "1.0.0", "1" * 12, 3)
    assert (lineage.ages, lineage.stale, lineage.since) == ((3000, 3000), (), T + 3 * SECOND - 600 * SECOND)
    assert lineage.schema == here.document(ONE).schema_version


@pytest.mark.parametrize(
    ("ago", "told"),
    [(60, "node-9/" + "7" * 12), (600, "node-9/" + "7" * 12), (601, "")],
    ids=["within", "edge", "past"],
)
def test_another_nodes_snapshot_is_noted_while_windows_reach_back_to_it(here, ago, told):
    made = here.node.wall - ago * SECOND
    here.versions[ONE].adopted = Adopted("node-9", "sha256:" + "7" * 64, made)
    for entity in ("press-7", "press-7", "press-8"):
        (lineage,) = ask(here, model(bound(("count", "mean"))), tensor("x", 1, 4), entity=entity).lineage
        # Of whom nothing is known, nothing came with it.
        told_of = told if entity == "press-7" else ""
        assert (lineage.adopted, lineage.adopted_until) == (told_of, made if told_of else 0)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_repeated_for_each_row_of_the_clients_inputs(here, rows):
    filled = ask(here, model(bound(("count", "mean"))), tensor("x", rows, 4), entity="press-7")
    assert filled.inputs["f"].tolist() == [[2.0, 3.0]] * rows


def test_a_model_of_features_alone(here):
    filled = ask(here, model(bound(("mean",)), plain=False, width=1), **{"entity.press": "press-7"})
    assert filled.inputs["f"].tolist() == [[3.0]]


def test_recency_is_of_the_moment_of_the_request(here):
    here.add(ONE, RECENCY)
    here.event("press-7", 2.0)
    of = model(bound(("recency",)), width=1)
    for seconds in (0, 2, 4):
        assert ask(here, of, tensor("x", 1, 4), entity="press-7").inputs["f"].tolist() == [[float(seconds)]]
        here.node.passes(2)


def test_an_unknown_entity_takes_the_defaults(here):
    filled = ask(here, model(bound(("count", "mean"))), tensor("x", 1, 4), entity="press-8")
    assert filled.inputs["f"].tolist() == [[0.0, 0.0]]
    assert filled.lineage[0].stale == ("count", "mean")
    assert filled.lineage[0].ages == (None, None)


@pytest.mark.parametrize(
    ("tensors", "parameters", "text"),
    [
        ([tensor("x", 1, 4)], {}, "parameter entity must name the press"),
        ([tensor("x", 1, 4)], {"entity": ""}, "must be a text"),
        ([tensor("x", 1, 4)], {"entity": True}, "must be a text"),
        ([tensor("x", 1, 4)], {"entity.line": "1"}, "parameter entity must name the press"),
        ([tensor("x", 1, 4), tensor("f", 1, 2)], {"entity": "press-7"}, "filled from a feature set"),
        ([], {"entity": "press-7"}, "inputs must be"),
        ([tensor("x", 1, 4), tensor("x", 1, 4)], {"entity": "press-7"}, "inputs must be"),
    ],
)
def test_requests_that_are_refused(here, tensors, parameters, text):
    with pytest.raises(ProtocolError, match=text) as error:
        ask(here, model(bound(("count", "mean"))), *tensors, **parameters)
    assert error.value.status == 400


def test_a_client_may_give_what_it_may_give(here):
    of = model(bound(("count", "mean"), client_may_give=True))
    filled = ask(here, of, tensor("x", 1, 4), tensor("f", 1, 2))
    assert (filled.inputs["f"].tolist(), filled.given, filled.lineage) == ([[1.0, 1.0]], ("f",), ())
    assert ask(here, of, tensor("x", 1, 4), entity="press-7").given == ()


def test_sets_of_several_entities(here):
    entities = [{"name": "line", "path": "source"}, {"name": "press", "path": "subject"}]
    here.add(TWO, COUNT, entities=entities)
    here.event("press-7", 2.0, source="north")
    of = model(bound(("count",), TWO), width=1)
    filled = ask(here, of, tensor("x", 1, 4), **{"entity.press": "press-7", "entity.line": "north"})
    assert filled.inputs["f"].tolist() == [[1.0]]
    assert filled.entity == {"line": "north", "press": "press-7"}
    with pytest.raises(ProtocolError, match=r"parameter entity\.line"):
        ask(here, of, tensor("x", 1, 4), **{"entity.press": "press-7", "entity": "north"})


@pytest.mark.parametrize(
    ("stale", "on_rejected", "expected"),
    [(STRICT, "Error", 409), (LENIENT, "Error", 409), (LENIENT, "Defaults", 7.5), (STRICT, "Defaults", 409)],
)
def test_a_stale_feature_that_must_not_be(here, stale, on_rejected, expected):
    here.add(ONE, stale)
    here.event("press-7", 2.0)
    here.node.passes(90)
    of = model(bound(("mean",), on_rejected=on_rejected), width=1)
    if expected != 409:
        assert ask(here, of, tensor("x", 1, 4), entity="press-7").inputs["f"].tolist() == [[expected]]
        return
    with pytest.raises(
        ProtocolError, match=r"feature mean of plant/presses is OUTSIDE_MAX_AGE: .* 90\.0 s old"
    ) as error:
        ask(here, of, tensor("x", 1, 4), entity="press-7")
    assert error.value.status == 409


def test_a_set_that_is_not_here(here):
    with pytest.raises(ProtocolError, match="isn't here yet") as error:
        ask(here, model(bound(("mean",), TWO), width=1), tensor("x", 1, 4), entity="press-7")
    assert error.value.status == 503


# Challengers


def require(standing, *, challenger, **more):
    """The failure, if there is one."""
    loader = Loader(None, None, None, lambda _: (standing, "12 records to go"))
    try:
        loader._require_features(model(bound(("mean",), **more)), challenger=challenger)
    except SkerryError as error:
        return failure_of(error)
    return None


@pytest.mark.parametrize(
    ("standing", "challenger", "first"),
    [
        (Standing.REFUSED, "Refused", "Refused"),
        (Standing.NOT_READY, "Waiting", "Waiting"),
        (Standing.STREAM_NOT_DECLARED, "Waiting", "Waiting"),
        (Standing.DEVICE_PATH_MISSING, "Waiting", "Waiting"),
        (Standing.WARMING, "Waiting", None),
        (Standing.WARM, None, None),
    ],
)
def test_a_release_waits_for_its_features_and_is_refused_without_hope(standing, challenger, first):
    for failure, phase in (
        (require(standing, challenger=True), challenger),
        (require(standing, challenger=False), first),
    ):
        told = None if phase is None else (phase, standing.value, "plant/presses 1.0.0: 12 records to go")
        assert (failure and (failure.phase, failure.reason, failure.message)) == told


def test_what_clients_may_give_keeps_no_first_release():
    assert require(Standing.REFUSED, challenger=False, client_may_give=True) is None
    assert require(Standing.NOT_READY, challenger=True, client_may_give=True).phase == "Waiting"


def test_what_is_filled_in_is_no_part_of_the_interface():
    one, two = model(bound(("mean",)), width=1), model(bound(("mean", "count"), TWO), width=2)
    _require_same_interface(one, two)
    with pytest.raises(Exception, match="differ"):
        _require_same_interface(one, model(plain=True).model_copy(update={"inputs": one.inputs}))


class Log:
    epoch = "e"

    def __init__(self):
        self.records = []

    def append_soon(self, make):
        self.records.append(msgspec.json.decode(make(1).body, type=Prediction))
        return len(self.records)


class Session:
    def __init__(self, score):
        self.score, self.seen = score, []

    def run(self, inputs):
        self.seen.append({name: value.tolist() for name, value in inputs.items()})
        return {"scores": np.full((len(next(iter(inputs.values()))), 3), self.score, np.float32)}

    def stop(self):
        pass


def test_champion_and_challenger_each_get_their_own_vector(here):
    here.add(TWO, COUNT)
    here.event("press-7", 6.0)
    champion = Resident(release(1), model(bound(("mean",)), width=1), None, Session(1.0))
    challenger = Resident(release(2), model(bound(("count",), TWO), width=1), None, Session(2.0))
    limits = LIMITS.model_copy(update={"canary_fraction": 1.0})
    canary = Canary(champion, challenger, limits, now=lambda: datetime.now(UTC), tripped=lambda _: None)
    unfilled = []
    metrics = SimpleNamespace(answered=lambda *_: None, challenger_unfilled=lambda *told: unfilled.append(told))
    log = Log()
    predictor = Predictor("site", "node", log, metrics, here)
    route = Route(ModelKey("team", "har"), "har", champion, canary)
    predictor.predict(route, body(tensor("x", 1, 4), entity="press-7"))
    assert champion.session.seen[0]["f"] == [[4.0]]
    assert challenger.session.seen[0]["f"] == [[1.0]]
    assert log.records[0].variant == "challenger"
    assert log.records[0].features[0].digest == "2" * 12
    assert log.records[0].entity == {"press": "press-7"}
    assert log.records[0].pair is not None
    del here.versions[TWO]
    predictor.predict(route, body(tensor("x", 1, 4), entity="press-7"))
    assert log.records[1].variant == "champion"
    assert log.records[1].features[0].digest == "1" * 12
    assert log.records[1].pair is None
    assert unfilled == [(challenger.release.version, 503)]
    canary.stop()


@pytest.mark.parametrize("versions", [("1.0.0", "2.1.0"), (None, "2.1.0"), ("1.0.0", None), (None, None)])
def test_the_record_says_which_preprocessing_the_answering_release_names(versions):
    champion, challenger = (
        Resident(release(number), manifest(preprocessing_version=version), None, Session(1.0))
        for number, version in enumerate(versions, 1)
    )
    limits = LIMITS.model_copy(update={"canary_fraction": 1.0})
    canary = Canary(champion, challenger, limits, now=lambda: datetime.now(UTC), tripped=lambda _: None)
    log = Log()
    predictor = Predictor("site", "node", log, SimpleNamespace(answered=lambda *_: None))
    for route in (canary, None):
        predictor.predict(Route(ModelKey("team", "har"), "har", champion, route), body(tensor("x", 1, 4)))
    canary.stop()
    assert [each.variant for each in log.records] == ["challenger", "champion"]
    assert [each.preprocessing_version or None for each in log.records] == [versions[1], versions[0]]


def test_a_model_without_features_asks_nobody():
    of = manifest()
    filled = fill(of, decode_request(body(tensor("x", 1, 4)), of), NO_FEATURES)
    assert list(filled.inputs) == ["x"]


def test_a_document_that_is_none():
    with pytest.raises(Exception, match="not a FeatureSet"):
        compiled(b"{}")
