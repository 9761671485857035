"""Tiny real ONNX models over four features and three classes, good ones and ones bad in known ways."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.3, 0.2, 0.1]], np.float32)


def _model(nodes, *, weights, extra=(), output_type=TensorProto.FLOAT) -> bytes:
    initializers = [numpy_helper.from_array(np.asarray(weights, np.float32), "weights"), *extra]
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("scores", output_type, ["rows", 3])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def good(nudge: float = 0.0) -> bytes:
    """Linear scores; a small nudge makes another file that decides nearly alike."""
    return _model([helper.make_node("MatMul", ["x", "weights"], ["scores"])], weights=WEIGHTS + np.float32(nudge))


def shifted() -> bytes:
    """Scores of the classes in the wrong order: no exception, other decisions."""
    return _model([helper.make_node("MatMul", ["x", "weights"], ["scores"])], weights=np.roll(WEIGHTS, 1, axis=1))


def nan_for_negative_first() -> bytes:
    """NaN on rows whose first feature is negative, by its own arithmetic: a square root added and taken away."""
    column = numpy_helper.from_array(np.array([0], np.int64), "first")
    nodes = [
        helper.make_node("Gather", ["x", "first"], ["column"], axis=1),
        helper.make_node("Sqrt", ["column"], ["root"]),
        helper.make_node("Sub", ["root", "root"], ["nothing"]),
        helper.make_node("MatMul", ["x", "weights"], ["linear"]),
        helper.make_node("Add", ["linear", "nothing"], ["scores"]),
    ]
    return _model(nodes, weights=WEIGHTS, extra=[column])


def slow(size: int = 1500) -> bytes:
    """The good scores after some needless large products: tens to hundreds of milliseconds a run."""
    nodes = [
        helper.make_node("ConstantOfShape", ["big"], ["zeros"]),
        helper.make_node("MatMul", ["zeros", "zeros"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["zero"], keepdims=0),
        helper.make_node("MatMul", ["x", "weights"], ["linear"]),
        helper.make_node("Mul", ["zero", "linear"], ["nothing"]),
        helper.make_node("Add", ["linear", "nothing"], ["scores"]),
    ]
    # The shape depends on the input, so that the product can't be folded into a constant at load.
    shape = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "second"], ["four"]),
        helper.make_node("Mul", ["four", "factors"], ["big"]),
    ]
    extra = [
        numpy_helper.from_array(np.array([1], np.int64), "second"),
        numpy_helper.from_array(np.array([size // 4, size // 4], np.int64), "factors"),
    ]
    return _model([*shape, *nodes], weights=WEIGHTS, extra=extra)


def endless_for_more_than_one_row() -> bytes:
    """A loop that ends at once for one row, and practically never for more."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"]),
            helper.make_node("Identity", ["sum_in"], ["sum_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["rows"]),
        helper.make_node("Sub", ["rows", "one"], ["more"]),
        helper.make_node("Mul", ["more", "many"], ["turns"]),
        helper.make_node("MatMul", ["x", "weights"], ["linear"]),
        helper.make_node("Loop", ["turns", "", "linear"], ["scores"], body=body),
    ]
    scalars = {"first": 0, "one": 1, "many": 1 << 40}
    extra = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in scalars.items()]
    return _model(nodes, weights=WEIGHTS, extra=extra)
