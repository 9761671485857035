"""What an ONNX file says about itself: inputs, outputs, and what it needs to run. Reads bytes, runs nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from skerry_core.bundle.manifest import DataType, Runtime, TensorSpec
from skerry_core.errors import UserMustActError

_DATA_TYPES: dict[int, DataType] = {
    TensorProto.BOOL: DataType.BOOL,
    TensorProto.INT32: DataType.INT32,
    TensorProto.INT64: DataType.INT64,
    TensorProto.FLOAT: DataType.FP32,
    TensorProto.DOUBLE: DataType.FP64,
}
_DEFAULT_DOMAIN = "ai.onnx"
_ANY_LENGTH = -1


class ModelUnsupportedError(UserMustActError):
    """The file is no ONNX model, or one that a site couldn't serve; the message says what to change."""

    def __init__(self, message: str) -> None:
        super().__init__("ModelUnsupported", message)


@dataclass(frozen=True)
class Inspection:
    """A model's interface and needs."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: Runtime


def inspect_model(data: bytes) -> Inspection:
    """Read an ONNX file's bytes; raises ModelUnsupportedError.

    A model must be one file: bytes that its digest names are verified and loaded as they are, so weights in a file
    beside it would be loaded unverified.
    """
    try:
        model = onnx.load_model_from_string(data)
        _refuse_external_data(model)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ModelUnsupportedError(f"not a valid ONNX model: {error}") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    return Inspection(
        inputs=tuple(_tensor(value, "input") for value in model.graph.input if value.name not in weights),
        outputs=tuple(_tensor(value, "output") for value in model.graph.output),
        runtime=Runtime(
            ir_version=model.ir_version,
            opsets={entry.domain or _DEFAULT_DOMAIN: entry.version for entry in model.opset_import},
            operators=tuple(sorted({_operator(node) for node in _nodes_of_model(model)})),
        ),
    )


def _refuse_external_data(model: ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL:
            location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            raise ModelUnsupportedError(
                f"the weights {tensor.name!r} lie in another file, {location!r}: load the model with onnx.load and "
                "save it whole with onnx.save_model(model, path, save_as_external_data=False)"
            )


def _tensor(value: ValueInfoProto, what: str) -> TensorSpec:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "nothing"
        raise ModelUnsupportedError(
            f"{what} {value.name!r} is no tensor but {kind}: export without it (for scikit-learn: zipmap=False)"
        )
    tensor = value.type.tensor_type
    datatype = _DATA_TYPES.get(tensor.elem_type)
    if datatype is None:
        name = TensorProto.DataType.Name(tensor.elem_type)
        served = ", ".join(TensorProto.DataType.Name(number) for number in _DATA_TYPES)
        raise ModelUnsupportedError(f"{what} {value.name!r} has type {name}; served are {served}: cast it in the graph")
    shape = tuple(dim.dim_value if dim.dim_value > 0 else _ANY_LENGTH for dim in tensor.shape.dim)
    return TensorSpec(name=value.name, datatype=datatype, shape=shape)


def _operator(node: NodeProto) -> str:
    return node.op_type if node.domain in {"", _DEFAULT_DOMAIN} else f"{node.domain}::{node.op_type}"


def _nodes_of_model(model: ModelProto) -> Iterator[NodeProto]:
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """All nodes, those of bodies of If, Loop and Scan included."""
    for node in nodes:
        yield node
        for graph in _graphs(node):
            yield from _nodes(graph.node)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """All tensors with values: weights and constants, in bodies and functions too."""
    yield from _graph_tensors(model.graph)
    for node in _nodes_of_model(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            yield from (sparse.values for sparse in attribute.sparse_tensors)
            if attribute.HasField("sparse_tensor"):
                yield attribute.sparse_tensor.values
        for graph in _graphs(node):
            yield from _graph_tensors(graph)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
