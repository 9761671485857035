"""ONNX graphs of the story's models: features of a raw window, then a small perceptron.

Training computes its features with the very graph that serves, so there is no second definition to drift.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.e2e.story.dataset import CHANNELS, EXERCISES, WINDOW

OPSET = 18
IR_VERSION = 10
INPUT, OUTPUT = "window", "scores"
# How far a served score may lie from the one that bare onnxruntime gives.
TOLERANCE = 1e-5

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


class Features(StrEnum):
    """MOMENTS: mean and deviation. SHAPE: extremes and roughness as well. TILT: SHAPE and the wrist's tilt.

    Tilt is asin(mean ay / 1 g), which is right for a wrist at rest and undefined where motion adds more than
    gravity: NaN by the model's own arithmetic, on rows that really occur.
    """

    MOMENTS = "moments"
    SHAPE = "shape"
    TILT = "tilt"


class _Graph:
    """Collects nodes and constants; each call adds one node and returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        result = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [result], **attributes))
        return result

    def perceptron(
        self, features: str, mean: NDArray[np.float32], scale: NDArray[np.float32], layers: Sequence[Layer]
    ) -> None:
        """Standardize features [n, k] and give class probabilities [n, 7] as OUTPUT."""
        signal = self.node("Div", self.node("Sub", features, self.constant(mean)), self.constant(scale))
        for index, (weights, bias) in enumerate(layers):
            signal = self.node("Gemm", signal, self.constant(weights), self.constant(bias))
            if index < len(layers) - 1:
                signal = self.node("Relu", signal)
        self.node("Softmax", signal, axis=1, output=OUTPUT)

    def model(
        self, output: str, width: int, takes: str = INPUT, shape: Sequence[int] = (WINDOW, len(CHANNELS))
    ) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "wrist",
            [helper.make_tensor_value_info(takes, TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model, full_check=True)
        return model


def _features(graph: _Graph, kind: Features) -> tuple[str, int]:
    time = graph.integers(1)
    mean = graph.node("ReduceMean", INPUT, time, keepdims=0)
    centered = graph.node("Sub", INPUT, graph.node("Unsqueeze", mean, time))
    deviation = graph.node("Sqrt", graph.node("ReduceMean", graph.node("Mul", centered, centered), time, keepdims=0))
    parts, width = [mean, deviation], 12
    if kind is not Features.MOMENTS:
        later = graph.node("Slice", INPUT, graph.integers(1), graph.integers(WINDOW), time)
        earlier = graph.node("Slice", INPUT, graph.integers(0), graph.integers(WINDOW - 1), time)
        steps = graph.node("Abs", graph.node("Sub", later, earlier))
        parts += [
            graph.node("ReduceMin", INPUT, time, keepdims=0),
            graph.node("ReduceMax", INPUT, time, keepdims=0),
            graph.node("ReduceMean", steps, time, keepdims=0),
        ]
        width += 18
    if kind is Features.TILT:
        parts.append(graph.node("Asin", graph.node("Gather", mean, graph.integers(1), axis=1)))
        width += 1
    return graph.node("Concat", *parts, axis=1, output="features"), width


def feature_graph(kind: Features) -> onnx.ModelProto:
    """Graph from windows [n, 100, 6] to features [n, 12, 30 or 31]."""
    graph = _Graph()
    output, width = _features(graph, kind)
    return graph.model(output, width)


def classifier_graph(
    kind: Features, mean: NDArray[np.float32], scale: NDArray[np.float32], layers: list[Layer]
) -> bytes:
    """Graph from windows [n, 100, 6] to class probabilities [n, 7]: features, standardized, then the perceptron."""
    graph = _Graph()
    features, _ = _features(graph, kind)
    graph.perceptron(features, mean, scale, layers)
    return graph.model(OUTPUT, len(EXERCISES)).SerializeToString()


def vector_graph(takes: str, mean: NDArray[np.float32], scale: NDArray[np.float32], layers: list[Layer]) -> bytes:
    """Graph from features [n, k], its input `takes`, to class probabilities [n, 7]."""
    graph = _Graph()
    graph.perceptron(takes, mean, scale, layers)
    return graph.model(OUTPUT, len(EXERCISES), takes, mean.shape).SerializeToString()


def run(model: bytes, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a graph with bare onnxruntime, one thread, and return its only output."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {session.get_inputs()[0].name: rows})
    return result  # type: ignore[no-any-return]
