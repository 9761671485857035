"""Between OIP's JSON tensors and numpy; strict, and bounded by the size of the body that HTTP let in."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from skerry_core.bundle.manifest import DataType, Manifest, TensorSpec
from skerry_edge.inference.backend import DTYPES, Tensor, Tensors
from skerry_edge.inference.oip.errors import bad_request
from skerry_edge.inference.oip.messages import InferRequest, InferResponse, InputTensor, OutputTensor

MAX_ID_LENGTH = 256
# A parameter of the request, which clients of other servers can set: whom it is about.
ENTITY = "entity"
MAX_ENTITY_LENGTH = 256

_request_decoder = msgspec.json.Decoder(InferRequest)
_encoder = msgspec.json.Encoder()
_int_decoder = msgspec.json.Decoder(list[int])
_float_decoder = msgspec.json.Decoder(list[float])
_FLAT: dict[DataType, msgspec.json.Decoder[Any]] = {
    DataType.BOOL: msgspec.json.Decoder(list[bool]),
    DataType.INT32: _int_decoder,
    DataType.INT64: _int_decoder,
    DataType.FP32: _float_decoder,
    DataType.FP64: _float_decoder,
}


@dataclass(frozen=True)
class Inference:
    """A request, decoded: `id` is "" if the client gave none, `outputs` the names it wants (None: all).

    `entity` is whom it is about: by an entity's name, or by "" where the client named none.
    """

    id: str
    inputs: Tensors
    outputs: frozenset[str] | None
    entity: Mapping[str, str] = field(default_factory=dict)


def decode_request(body: bytes, manifest: Manifest) -> Inference:
    """Read a request for the model that the manifest describes; ProtocolError 400 for anything it doesn't fit."""
    try:
        request = _request_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"not an inference request: {error}") from error
    if request.id is not None and len(request.id) > MAX_ID_LENGTH:
        raise bad_request(f"id is longer than {MAX_ID_LENGTH} characters")
    specs = {spec.name: spec for spec in manifest.inputs}
    names = [tensor.name for tensor in request.inputs]
    bound = {binding.input: binding.client_may_give for binding in manifest.features}
    needed = specs.keys() - bound.keys()
    if len(set(names)) != len(names) or not needed <= set(names) <= specs.keys():
        raise bad_request(f"inputs must be {sorted(needed)}, got {sorted(names)[: len(specs) + 1]}")
    for name in names:
        if not bound.get(name, True):
            raise bad_request(f"input {name} is filled from a feature set, not by clients")
    wanted = None
    if request.outputs:
        wanted = frozenset(output.name for output in request.outputs)
        unknown = wanted - {spec.name for spec in manifest.outputs}
        if unknown:
            raise bad_request(f"the model has no output {min(unknown)!r}")
    inputs = {tensor.name: _tensor(tensor, specs[tensor.name]) for tensor in request.inputs}
    return Inference(request.id or "", inputs, wanted, _entity(request.parameters or {}))


def _entity(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The parameters `entity` and `entity.<name>`: text, or an integer."""
    entity = {}
    for name, value in parameters.items():
        if name != ENTITY and not name.startswith(f"{ENTITY}."):
            continue
        if isinstance(value, bool) or not isinstance(value, str | int) or not 0 < len(str(value)) <= MAX_ENTITY_LENGTH:
            raise bad_request(f"parameter {name[:64]} must be a text of 1 to {MAX_ENTITY_LENGTH} characters")
        entity[name[len(ENTITY) + 1 :]] = str(value)
    return entity


def _tensor(tensor: InputTensor, spec: TensorSpec) -> Tensor:
    if tensor.datatype != spec.datatype:
        raise bad_request(f"input {spec.name} has datatype {spec.datatype}, got {tensor.datatype!r}")
    shape = tuple(tensor.shape)
    fits = len(shape) == len(spec.shape) and all(
        length >= 0 and told in (-1, length) for length, told in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        raise bad_request(f"input {spec.name} has shape {list(spec.shape)}, got {list(shape)[:16]}")
    if not bytes(tensor.data):
        raise bad_request(f"input {spec.name} has no data (binary tensors are not supported over this port)")
    values = _values(bytes(tensor.data), spec, shape)
    # Multiplied as Python integers: a product that overflows must not look like a small one.
    if values.size != math.prod(shape):
        raise bad_request(f"input {spec.name} has {values.size} values, its shape holds {math.prod(shape)}")
    return values.reshape(shape)


def _values(data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> Tensor:
    """Decode numbers, flat in row-major order or nested as the shape is."""
    try:
        flat = _FLAT[spec.datatype].decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        flat = _flatten(data, spec, shape)
    try:
        with np.errstate(over="ignore"):
            values = np.array(flat, DTYPES[spec.datatype])
    except (OverflowError, ValueError, TypeError) as error:
        raise bad_request(f"input {spec.name} holds a value that is no {spec.datatype}") from error
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise bad_request(f"input {spec.name} holds a value beyond {spec.datatype}")
    return values


def _flatten(data: bytes, spec: TensorSpec, shape: tuple[int, ...]) -> list[Any]:
    """Peel one level of lists for each dimension, every list as long as its dimension; then typed values."""
    try:
        level: list[Any] = [msgspec.json.decode(data)]
        for length in shape:
            rows = [msgspec.convert(row, list[Any]) for row in level]
            if any(len(row) != length for row in rows):
                raise bad_request(f"data of input {spec.name} is not nested like its shape")
            level = [item for row in rows for item in row]
        return list(msgspec.convert(level, _FLAT[spec.datatype].type))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request(f"data of input {spec.name} is not {spec.datatype}, flat or nested like its shape") from error


def encode_response(
    *,
    model_name: str,
    manifest: Manifest,
    request_id: str,
    outputs: Tensors,
    wanted: frozenset[str] | None,
    parameters: Mapping[str, str],
) -> bytes:
    """The response's JSON. The caller has made sure that the outputs are finite: JSON can't say NaN."""
    return _encoder.encode(
        InferResponse(
            model_name=model_name,
            model_version=manifest.version,
            id=request_id,
            parameters=dict(parameters),
            outputs=[
                OutputTensor(spec.name, outputs[spec.name].shape, spec.datatype, outputs[spec.name].ravel().tolist())
                for spec in manifest.outputs
                if wanted is None or spec.name in wanted
            ],
        )
    )
