import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from skerry_core.bundle.manifest import DataType, TensorSpec
from skerry_edge.inference.backend import DTYPES
from skerry_edge.inference.oip.codec import MAX_ID_LENGTH, decode_request, encode_response
from skerry_edge.inference.oip.errors import ProtocolError
from tests.unit.inference.releases import manifest


def spec(datatype=DataType.FP32, shape=(-1, 2)):
    return manifest(inputs=(TensorSpec(name="x", datatype=datatype, shape=shape),))


def body(data, shape=(1, 2), datatype="FP32", **extra) -> bytes:
    return json.dumps({"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": data}], **extra}).encode()


@settings(deadline=None)
@given(st.data(), st.sampled_from(list(DataType)))
def test_what_a_client_sends_is_what_the_model_gets(data, datatype):
    shape = data.draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    elements = {"allow_nan": False, "allow_infinity": False} if datatype in {"FP32", "FP64"} else {}
    array = data.draw(npst.arrays(DTYPES[datatype], shape, elements=elements))
    declared = spec(datatype, tuple(-1 for _ in shape))
    values = data.draw(st.sampled_from([array.ravel().tolist(), array.tolist() if shape else [array.item()]]))
    found = decode_request(body(values, shape, datatype), declared).inputs["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"inputs": {}}',
        b'{"inputs": []}',
        b"[" * 100_000,
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":' + b"[" * 100_000,
        b"\xff\xfe",
        body([1, 2], datatype="FP64"),
        body([1, 2], datatype="BYTES"),
        body([1, 2, 3]),
        body([1]),
        body([[1], [2]]),
        body([[[1, 2]]]),
        body([[1, 2], 3], (2, 2)),
        body(["1", "2"]),
        body([1, None]),
        body([True, False]),
        body(7),
        body("AAAA"),
        body([1, 2], [2]),
        body([1, 2], [1, 2, 1]),
        body([], [-1, 2]),
        body([], [1 << 62, 2]),
        body([1e39, 0]),
        body([1, 2], [1, 2.5]),
        body([1, 2], outputs=[{"name": "nope"}]),
        body([1, 2], id="x" * (MAX_ID_LENGTH + 1)),
        body([1, 2], id=7),
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[NaN,1]}]}',
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1e999,1]}]}',
        b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32"}]}',
        b'{"inputs":[{"name":"y","shape":[1,2],"datatype":"FP32","data":[1,2]}]}',
        json.dumps({"inputs": 2 * json.loads(body([1, 2]))["inputs"]}).encode(),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(sent):
    with pytest.raises(ProtocolError) as refused:
        decode_request(sent, spec())
    assert refused.value.status == 400
    assert 0 < len(str(refused.value)) < 2000


@pytest.mark.parametrize(
    ("datatype", "value"), [("INT32", 2**31), ("INT64", 2**63), ("INT32", 1.5), ("INT64", True), ("BOOL", 1)]
)
def test_values_outside_of_the_datatype_are_refused(datatype, value):
    with pytest.raises(ProtocolError):
        decode_request(body([value, value], datatype=datatype), spec(DataType(datatype)))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(sent):
    with pytest.raises(ProtocolError):
        decode_request(sent, spec())


def test_responses_are_what_clients_read():
    outputs = {"scores": np.array([[1.5, -2, 3]], np.float32)}
    sent = encode_response(
        model_name="har",
        manifest=manifest("1.4.0"),
        request_id="mine",
        outputs=outputs,
        wanted=None,
        parameters={"variant": "champion"},
    )
    assert json.loads(sent) == {
        "model_name": "har",
        "model_version": "1.4.0",
        "id": "mine",
        "parameters": {"variant": "champion"},
        "outputs": [{"name": "scores", "shape": [1, 3], "datatype": "FP32", "data": [1.5, -2.0, 3.0]}],
    }


def test_only_wanted_outputs_go_out():
    sent = encode_response(
        model_name="har",
        manifest=manifest(),
        request_id="",
        outputs={"scores": np.zeros((1, 3), np.float32)},
        wanted=frozenset({"other"}),
        parameters={},
    )
    assert json.loads(sent)["outputs"] == []
