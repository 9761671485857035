"""A prediction's record with the tensors that its model saw and gave, if the request is drawn for that."""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec.structs import replace

from skerry_core.bundle.manifest import DataType, Manifest
from skerry_core.lineage.payload import MAX_NAME, MAX_PAYLOAD, MAX_TENSORS, TOO_LARGE
from skerry_core.lineage.record import Prediction, TensorRecord
from skerry_edge.events.record import MAX_BODY
from skerry_edge.inference.backend import Tensor, Tensors

# A digit and a comma.
_LEAST_BYTES = 2

_encode = msgspec.json.Encoder().encode


def with_payload(record: Prediction, plain: bytes, manifest: Manifest, inputs: Tensors, outputs: Tensors) -> bytes:
    """The record's body with the tensors, or with TOO_LARGE where they don't fit; `plain` is its body without them.

    Values that are not finite become null, as everywhere in the record.
    """
    tensors = [*inputs.items(), *outputs.items()]
    named = len(tensors) <= MAX_TENSORS and all(len(name) <= MAX_NAME for name, _ in tensors)
    if named and sum(tensor.size for _, tensor in tensors) * _LEAST_BYTES <= MAX_PAYLOAD:
        types = {spec.name: spec.datatype for spec in (*manifest.inputs, *manifest.outputs)}
        whole = _encode(replace(record, inputs=dict(_recorded(inputs, types)), outputs=dict(_recorded(outputs, types))))
        if len(whole) - len(plain) <= MAX_PAYLOAD and len(whole) <= MAX_BODY:
            return whole
    said = _encode(replace(record, payload=TOO_LARGE))
    return said if len(said) <= MAX_BODY else plain


def _recorded(tensors: Tensors, types: Mapping[str, DataType]) -> Iterator[tuple[str, TensorRecord]]:
    for name, tensor in tensors.items():
        yield name, _tensor(tensor, types[name])


def _tensor(tensor: Tensor, datatype: DataType) -> TensorRecord:
    return TensorRecord(datatype.value, tensor.shape, tuple(tensor.ravel().tolist()))
