"""Variants of one trained model: as good, larger, too new for any ONNX Runtime, or giving NaN."""

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

_IR_OF_THE_FUTURE = 99


def noted(model: bytes, note: str, padding: int = 0) -> bytes:
    """The same graph in other bytes, and `padding` more of them."""
    graph = onnx.load_model_from_string(model)
    graph.doc_string = note
    if padding:
        graph.metadata_props.add(key="padding", value="." * padding)
    return graph.SerializeToString()


def too_new(model: bytes) -> bytes:
    """The same graph, said to be of an IR version that no ONNX Runtime knows."""
    graph = onnx.load_model_from_string(model)
    graph.ir_version = _IR_OF_THE_FUTURE
    return graph.SerializeToString()


def giving_nan(model: bytes) -> bytes:
    """The same graph with NaN for weights."""
    graph = onnx.load_model_from_string(model)
    for tensor in graph.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = np.full_like(numpy_helper.to_array(tensor), np.nan)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return graph.SerializeToString()
