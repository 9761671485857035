"""Tiny real ONNX models, built node by node."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

CLASSES = 3
FEATURES = 4


def graph_bytes(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
    opsets: Sequence[tuple[str, int]] = (("", 17),),
) -> bytes:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(weights))
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets]
    return helper.make_model(graph, opset_imports=imports, ir_version=9).SerializeToString()


def tensor(name: str, shape: Sequence[int | str | None], kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def linear(weights: np.ndarray, batch: int | str = "n", node: NodeProto | None = None) -> bytes:
    """scores[n, 3] = features[n, 4] @ weights, then `node` (scores_in -> scores) if there is one."""
    last = "scores" if node is None else "scores_in"
    nodes = [helper.make_node("MatMul", ["features", "weights"], [last])]
    return graph_bytes(
        nodes if node is None else [*nodes, node],
        [tensor("features", [batch, FEATURES])],
        [tensor("scores", [batch, CLASSES])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )


def classifier(favoured: int | None = None, **other: object) -> bytes:
    """Picks the largest of the first three features, or always the favoured class."""
    weights = np.eye(FEATURES, CLASSES)
    if favoured is not None:
        weights[:] = 0
        weights[3, favoured] = 1
    return linear(weights, **other)


def identity(kind: int, shape: Sequence[int | str | None] = ("n", 2)) -> bytes:
    return graph_bytes(
        [helper.make_node("Identity", ["x"], ["y"])], [tensor("x", shape, kind)], [tensor("y", shape, kind)]
    )
