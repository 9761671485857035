"""Model inputs that are filled from feature sets, for the entity that a request names.

A request is about one entity, so each set gives one vector; where the client's own inputs have n rows, it is repeated
for each of them. A feature that has no value that counts gives its default, or, where its set says `Reject` and the
manifest doesn't take defaults instead, the request is answered 409: it isn't malformed, the server is well, and asking
again changes nothing until the entity's devices send; 503 would make clients and meshes retry, and 404 would hide
which of the two isn't there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import numpy as np

from skerry_core.bundle.manifest import Manifest, TensorSpec
from skerry_core.features.columns import Floats
from skerry_core.features.definition import FeatureInput, FeatureSetDocument, OnRejected
from skerry_core.features.vector import Vector
from skerry_core.lineage.record import FeatureLineage
from skerry_edge.features.version import EntityReading
from skerry_edge.inference.backend import DTYPES, Tensor, Tensors
from skerry_edge.inference.oip.codec import ENTITY, Inference
from skerry_edge.inference.oip.errors import ProtocolError, bad_request

_DIGEST_CHARACTERS = slice(7, 19)


class FeatureReader(Protocol):
    """What is asked of the feature store."""

    def document(self, digest: str) -> FeatureSetDocument | None:
        """What a version says; None if that isn't known here."""
        ...

    def read(self, digest: str, entity: Sequence[str]) -> EntityReading | None:
        """An entity's features; None if the version isn't known here. ValueError for parts that are no key."""
        ...

    def catch_up(self, digest: str) -> None:
        """Have a version's events applied that are durable by now; blocks, but not for long."""
        ...


class _NoFeatures:
    def document(self, digest: str) -> FeatureSetDocument | None:  # noqa: ARG002 - there is none
        return None

    def read(self, digest: str, entity: Sequence[str]) -> EntityReading | None:  # noqa: ARG002 - there is none
        return None

    def catch_up(self, digest: str) -> None:
        pass


NO_FEATURES: FeatureReader = _NoFeatures()


@dataclass(frozen=True)
class Filled:
    """All of a model's inputs, whom they are about, and what of them came from where."""

    inputs: Tensors
    entity: Mapping[str, str]
    lineage: tuple[FeatureLineage, ...] = ()
    given: tuple[str, ...] = ()


def fill(manifest: Manifest, inference: Inference, reader: FeatureReader) -> Filled:
    """Add to a request's inputs those that the manifest binds to features; ProtocolError 400, 409 or 503."""
    if not manifest.features:
        return Filled(inference.inputs, {})
    specs = {spec.name: spec for spec in manifest.inputs}
    rows = _rows(inference.inputs, specs)
    inputs, lineage, given = dict(inference.inputs), [], []
    entity: dict[str, str] = {}
    for binding in manifest.features:
        if binding.input in inference.inputs:
            given.append(binding.input)
            continue
        document = reader.document(binding.feature_set.digest)
        if document is None:
            raise _not_known(binding)
        parts = _parts(document, inference.entity)
        try:
            found = read(reader, binding.feature_set.digest, parts, binding.features)
        except ValueError as error:
            raise bad_request(f"the entity can't be one: {error}") from error
        if found is None:
            raise _not_known(binding)
        reading, row = found
        entity.update(zip((each.name for each in document.entities), parts, strict=True))
        vector, stale = _vector(binding, document, reading, row)
        inputs[binding.input] = _tensor(vector, specs[binding.input], rows)
        lineage.append(_lineage(binding, document, reading, stale))
    return Filled(inputs, entity, tuple(lineage), tuple(given))


def read(
    reader: FeatureReader, digest: str, entity: Sequence[str], names: tuple[str, ...]
) -> tuple[EntityReading, Vector] | None:
    """An entity's features, and those of `names` as a row; read once more with all of the log if one asks for that.

    Blocks as `catch_up` does. None and ValueError as of FeatureReader.read.
    """
    reading = reader.read(digest, entity)
    if reading is None:
        return None
    row = reading.vector(names)
    if row.recompute:
        reader.catch_up(digest)
        reading = reader.read(digest, entity)
        if reading is None:
            return None
        row = reading.vector(names)
    return reading, row


def _not_known(binding: FeatureInput) -> ProtocolError:
    named = binding.feature_set
    message = f"feature set {named.namespace}/{named.name} {named.version} isn't here yet"
    return ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, message)


def _rows(inputs: Tensors, specs: Mapping[str, TensorSpec]) -> int:
    """Rows of the client's inputs whose first dimension is the batch; 1 if there are none."""
    lengths = {tensor.shape[0] for name, tensor in inputs.items() if name in specs and specs[name].shape[:1] == (-1,)}
    if len(lengths) > 1:
        raise bad_request(f"inputs have different numbers of rows: {sorted(lengths)}")
    return lengths.pop() if lengths else 1


def _parts(document: FeatureSetDocument, named: Mapping[str, str]) -> tuple[str, ...]:
    """The entity's parts, in the set's order."""
    whole = named.get("") if len(document.entities) == 1 else None
    parts = []
    for entity in document.entities:
        part = named.get(entity.name, whole)
        if part is None:
            wanted = f"{ENTITY}.{entity.name}" if len(document.entities) > 1 else ENTITY
            raise bad_request(
                f"parameter {wanted} must name the {entity.name} that the request is about: "
                f"inputs are filled from {document.namespace}/{document.name}"
            )
        parts.append(part)
    return tuple(parts)


def _vector(
    binding: FeatureInput, document: FeatureSetDocument, reading: EntityReading, found: Vector
) -> tuple[Floats, tuple[str, ...]]:
    """The input's columns, and the features that gave their defaults."""
    if not found.rejected:
        return found.values, found.defaulted
    if binding.on_rejected is not OnRejected.DEFAULTS or not np.isfinite(found.values).all():
        value = next(each for each in reading.whole.values if each.name == found.rejected[0])
        age = "it has no event" if value.age_us is None else f"it is {value.age_us / 1e6:.1f} s old"
        message = f"feature {value.name} of {document.namespace}/{document.name} is {value.status}: {age}"
        raise ProtocolError(HTTPStatus.CONFLICT, message)
    return found.values, found.defaulted + found.rejected


def _tensor(vector: Floats, spec: TensorSpec, rows: int) -> Tensor:
    row = vector.astype(DTYPES[spec.datatype])[np.newaxis]
    if len(spec.shape) != row.ndim or spec.shape[1] not in (-1, row.shape[1]):
        # Held against the document when the release was packaged.
        raise ProtocolError(
            HTTPStatus.CONFLICT, f"input {spec.name} takes {list(spec.shape)}, its features have {row.shape[1]} values"
        )
    return row if rows == 1 else np.repeat(row, rows, axis=0)


def _lineage(
    binding: FeatureInput, document: FeatureSetDocument, reading: EntityReading, stale: tuple[str, ...]
) -> FeatureLineage:
    values = {value.name: value for value in reading.computed.values}
    used = [values[name] for name in binding.features]
    adopted = reading.adopted
    if adopted is not None and reading.since > adopted.made:
        adopted = None  # no window reaches back to its events
    ages = (None if value.as_of is None else max(reading.now - value.as_of, 0) for value in used)
    return FeatureLineage(
        input=binding.input,
        set=f"{document.namespace}/{document.name}",
        version=document.version,
        digest=binding.feature_set.digest[_DIGEST_CHARACTERS],
        epoch=reading.applied.epoch,
        seq=reading.applied.seq,
        since=reading.since,
        ages=tuple(None if age is None else age // 1000 for age in ages),
        stale=stale,
        events=tuple(value.events for value in used),
        adopted="" if adopted is None else f"{adopted.node}/{adopted.snapshot[_DIGEST_CHARACTERS]}",
        adopted_until=0 if adopted is None else adopted.made,
        schema=document.schema_version,
    )
