"""Which predictions are recorded with inputs and outputs, and what these look like in the record."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.bundle.manifest import DataType, TensorSpec
from skerry_core.lineage.payload import MAX_NAME, MAX_PAYLOAD, MAX_TENSORS, drawn
from skerry_core.lineage.record import Prediction
from skerry_edge.events.record import MAX_BODY
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.backend import DTYPES
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.payload import with_payload
from skerry_edge.inference.prediction import Predictor
from skerry_edge.inference.routing import Route
from tests.unit.inference.releases import manifest, release
from tests.unit.inference.test_binding import COUNT, ONE, Here, Session, body, bound, model, tensor

RECORD = Prediction("r", "team", "har", "1.0.0", "sha256:1", "champion", 0.1, 1)
PLAIN = msgspec.json.encode(RECORD)
ids = st.integers(1, 10**9).map(lambda seq: f"site/node/{'0' * 16}/{seq}")


# The draw


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_the_share_is_kept(share):
    count = 20_000
    taken = sum(drawn(f"site/node/{'0' * 16}/{seq}", share) for seq in range(1, count + 1))
    assert abs(taken - share * count) <= 5 * (count * share * (1 - share)) ** 0.5


@given(ids, st.floats(0, 1), st.floats(0, 1))
def test_a_smaller_share_draws_from_a_larger_ones(prediction, one, other):
    assert drawn(prediction, one) == drawn(prediction, one)
    assert drawn(prediction, min(one, other)) <= drawn(prediction, max(one, other))


# The record


def written(inputs, outputs=None, *, record=RECORD, types=None):
    outputs = outputs or {"scores": np.zeros((1, 3), np.float32)}
    types = types or {}
    specs = [
        TensorSpec(name=name, datatype=types.get(name, DataType.FP32), shape=(-1,)) for name in (*inputs, *outputs)
    ]
    of = manifest(inputs=tuple(specs[: len(inputs)]), outputs=tuple(specs[len(inputs) :]))
    return with_payload(record, msgspec.json.encode(record), of, inputs, outputs)


@pytest.mark.parametrize(
    ("datatype", "values", "data"),
    [
        (DataType.FP32, [[0.5, -0.0], [1e-45, 3.0]], [0.5, -0.0, float(np.float32(1e-45)), 3.0]),
        (DataType.FP64, [0.1, float("nan"), float("inf"), -float("inf")], [0.1, None, None, None]),
        (DataType.INT64, [2**63 - 1, -5], [2**63 - 1, -5]),
        (DataType.INT32, [], []),
        (DataType.BOOL, [True, False], [True, False]),
        (DataType.FP32, 2.0, [2.0]),
    ],
)
def test_a_tensor_is_what_the_model_saw(datatype, values, data):
    array = np.array(values, DTYPES[datatype])
    text = written({"x": array}, types={"x": datatype})
    told = msgspec.json.decode(text, type=Prediction)
    assert (told.inputs["x"].datatype, told.inputs["x"].shape) == (datatype.value, array.shape)
    assert repr(list(told.inputs["x"].data)) == repr(data)
    assert told.outputs["scores"].data == (0.0, 0.0, 0.0)
    assert msgspec.structs.replace(told, inputs={}, outputs={}) == RECORD


def test_the_record_is_as_ever_but_for_the_tensors():
    payload = json.loads(written({"x": np.ones((1, 2), np.float32)}))
    assert payload.pop("inputs") == {"x": {"datatype": "FP32", "shape": [1, 2], "data": [1.0, 1.0]}}
    assert payload.pop("outputs").keys() == {"scores"}
    assert payload == json.loads(PLAIN)
    assert payload.keys().isdisjoint({"inputs", "outputs", "payload"})


@given(st.integers(0, 9000), st.integers(1, 4), st.booleans())
def test_a_payload_is_bounded(size, tensors, long):
    value = 1 / 3 if long else 1
    inputs = {f"x{number}": np.full(size // tensors, value, np.float64) for number in range(tensors)}
    text = written(inputs)
    told = msgspec.json.decode(text, type=Prediction)
    assert len(text) <= len(PLAIN) + MAX_PAYLOAD
    assert (told.payload == "TooLarge") == (not told.inputs)
    if not told.inputs:
        assert msgspec.structs.replace(told, payload="") == RECORD
        assert size * (20 if long else 5) > MAX_PAYLOAD - 1000


ONE_VALUE = np.zeros(1, np.float32)


@pytest.mark.parametrize(
    ("inputs", "fits"),
    [
        ({f"x{number}": ONE_VALUE for number in range(MAX_TENSORS - 1)}, True),
        ({f"x{number}": ONE_VALUE for number in range(MAX_TENSORS)}, False),
        ({"x" * MAX_NAME: ONE_VALUE}, True),
        ({"x" * (MAX_NAME + 1): ONE_VALUE}, False),
    ],
)
def test_tensors_and_names_are_bounded(inputs, fits):
    assert (b"TooLarge" not in written(inputs)) == fits


@pytest.mark.parametrize(("left", "told"), [(20, ""), (100, "TooLarge"), (1000, "")])
def test_a_record_that_the_log_took_is_taken_all_the_same(left, told):
    long = msgspec.structs.replace(RECORD, request="r" * (MAX_BODY - len(PLAIN) + 1 - left))
    text = written({"x": np.ones(10, np.float32)}, record=long)
    record = msgspec.json.decode(text, type=Prediction)
    assert len(text) <= MAX_BODY
    assert (record.payload, bool(record.inputs)) == (told, left == 1000)


# As requests are answered


class Log:
    epoch = "e"

    def __init__(self):
        self.bodies = []

    def append_soon(self, make):
        self.bodies.append(make(len(self.bodies) + 1).body)
        return len(self.bodies)


class Counted:
    def answered(self, *_):
        pass


def answered(share, requests=1):
    """What is logged of so many requests to a model with one input that is given, and one that is filled."""
    here = Here()
    here.add(ONE, COUNT)
    here.event("press-7", 2.0)
    here.event("press-7", 6.0)
    resident = Resident(release(1), model(bound(("count",)), width=1), None, Session(0.25))
    log = Log()
    predictor = Predictor("site", "node", log, Counted(), here, payloads=lambda: share)
    told = [
        json.loads(
            predictor.predict(
                Route(ModelKey("team", "har"), "har", resident), body(tensor("x", 2, 4), entity="press-7")
            )
        )
        for _ in range(requests)
    ]
    return [each["parameters"]["prediction_id"] for each in told], [
        msgspec.json.decode(each, type=Prediction) for each in log.bodies
    ]


@pytest.mark.parametrize("share", [None, 0.0])
def test_nothing_of_it_is_recorded_unless_it_is_asked_for(share):
    (_,), (record,) = answered(share)
    assert (record.inputs, record.outputs, record.payload) == ({}, {}, "")


def test_features_are_inputs_too():
    (_,), (record,) = answered(1.0)
    assert record.inputs["f"].data == (2.0, 2.0)
    assert (record.inputs["x"].shape, record.inputs["x"].data) == ((2, 4), (1.0,) * 8)
    assert record.outputs["scores"].data == (0.25,) * 6


def test_those_are_recorded_that_are_drawn_by_their_ids():
    told, records = answered(0.3, requests=40)
    assert [bool(record.inputs) for record in records] == [drawn(each, 0.3) for each in told]
    assert len({bool(record.inputs) for record in records}) == 2
