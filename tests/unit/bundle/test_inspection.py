import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from skerry_core.bundle.inspection import ModelUnsupportedError, inspect_model
from skerry_core.bundle.manifest import DataType, TensorSpec
from tests.unit.bundle.models import classifier, graph_bytes, identity, linear, tensor


def test_reads_interface_and_needs():
    found = inspect_model(classifier())
    assert found.inputs == (TensorSpec(name="features", datatype=DataType.FP32, shape=(-1, 4)),)
    assert found.outputs == (TensorSpec(name="scores", datatype=DataType.FP32, shape=(-1, 3)),)
    assert found.runtime.ir_version == 9
    assert found.runtime.opsets == {"ai.onnx": 17}
    assert found.runtime.operators == ("MatMul",)


def test_weights_listed_as_inputs_are_no_inputs():
    data = graph_bytes(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", ["n", 2]), tensor("w", [2, 2])],
        [tensor("y", ["n", 2])],
        [numpy_helper.from_array(np.eye(2, dtype=np.float32), "w")],
    )
    assert [spec.name for spec in inspect_model(data).inputs] == ["x"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (TensorProto.BOOL, DataType.BOOL),
        (TensorProto.INT32, DataType.INT32),
        (TensorProto.INT64, DataType.INT64),
        (TensorProto.FLOAT, DataType.FP32),
        (TensorProto.DOUBLE, DataType.FP64),
    ],
)
def test_knows_the_types_that_are_served(kind, expected):
    assert inspect_model(identity(kind)).inputs[0].datatype is expected


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.STRING, TensorProto.INT8, TensorProto.BFLOAT16])
def test_refuses_other_types_by_name(kind):
    with pytest.raises(ModelUnsupportedError, match=f"'x' has type {TensorProto.DataType.Name(kind)}; served are BOOL"):
        inspect_model(identity(kind))


def test_unnamed_and_symbolic_lengths_are_any_length():
    assert inspect_model(identity(TensorProto.FLOAT, [None, "t", 3])).inputs[0].shape == (-1, -1, 3)


def test_names_operators_of_other_domains_and_of_bodies():
    then = helper.make_graph([helper.make_node("Neg", ["x"], ["a"])], "then", [], [tensor("a", ["n", 2])])
    other = helper.make_graph([helper.make_node("Abs", ["x"], ["b"])], "else", [], [tensor("b", ["n", 2])])
    data = graph_bytes(
        [
            helper.make_node("If", ["condition"], ["z"], then_branch=then, else_branch=other),
            helper.make_node("Scaler", ["z"], ["y"], domain="ai.onnx.ml", offset=[0.0], scale=[1.0]),
        ],
        [tensor("x", ["n", 2]), tensor("condition", [], TensorProto.BOOL)],
        [tensor("y", ["n", 2])],
        opsets=[("", 17), ("ai.onnx.ml", 3)],
    )
    found = inspect_model(data)
    assert found.runtime.operators == ("Abs", "If", "Neg", "ai.onnx.ml::Scaler")
    assert found.runtime.opsets == {"ai.onnx": 17, "ai.onnx.ml": 3}


def test_refuses_outputs_that_are_no_tensors():
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, ["n"]))
    data = graph_bytes(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])], [tensor("x", ["n"])], [helper.make_value_info("y", kind)]
    )
    with pytest.raises(ModelUnsupportedError, match=r"'y' is no tensor but sequence_type.*zipmap=False"):
        inspect_model(data)


def test_refuses_a_tensor_without_shape():
    data = graph_bytes([helper.make_node("Identity", ["x"], ["y"])], [tensor("x", ["n"])], [tensor("y", None)])
    with pytest.raises(ModelUnsupportedError, match="not a valid ONNX model: Field 'shape'"):
        inspect_model(data)


@pytest.mark.parametrize("data", [b"", b"not a model", classifier()[:-7], b"\x08\x07"])
def test_refuses_what_is_no_model(data):
    with pytest.raises(ModelUnsupportedError, match="not a valid ONNX model") as caught:
        inspect_model(data)
    assert caught.value.reason == "ModelUnsupported"


@pytest.mark.parametrize("location", ["weights.bin", "../../../etc/passwd", "/etc/passwd"])
@pytest.mark.parametrize("place", ["weight", "constant", "body"])
def test_refuses_weights_in_other_files(location, place):
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value=location)
    model = onnx.load_model_from_string(linear(np.ones((4, 3))))
    if place == "weight":
        model.graph.initializer.append(outside)
    elif place == "constant":
        model.graph.node.append(helper.make_node("Constant", [], ["c"], value=outside))
    else:
        body = helper.make_graph([], "body", [], [], [outside])
        model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=body, else_branch=body))
    with pytest.raises(ModelUnsupportedError, match=r"lie in another file.*save_as_external_data=False") as caught:
        inspect_model(model.SerializeToString())
    assert location in str(caught.value)
