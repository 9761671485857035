"""What is told of many values of one field: a state that merges with others of the same field to the bit.

It is made of the feature engine's accumulators (`skerry_core.features.accumulators`), whose values are exact or
canonical: whoever saw which values, in whatever order and batches, the merged bytes are those of one state over all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import msgspec
import numpy as np

from skerry_core.features.accumulators.distinct import REGISTERS
from skerry_core.features.accumulators.identity import hashes
from skerry_core.features.accumulators.kinds import Kind, build
from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.accumulators.sketch import MAX_BUCKETS
from skerry_core.features.columns import Column, Integers, group
from skerry_core.features.definition import MAX_VECTOR

FORMAT = 1


class ValueKind(StrEnum):
    """What the values are. A boolean is the number 0 or 1."""

    NUMBER = "Number"
    TEXT = "Text"
    VECTOR = "Vector"


_PARTS = {
    ValueKind.NUMBER: (Kind.TALLY, Kind.SUM, Kind.SQUARES, Kind.MIN, Kind.MAX, Kind.SKETCH, Kind.DISTINCT),
    ValueKind.TEXT: (Kind.TALLY, Kind.DISTINCT),
    ValueKind.VECTOR: (Kind.TALLY, Kind.VECTOR_SUM),
}

# Bounds of what a state from elsewhere may make us compute: none of them is reached by what a node can have seen.
_MAX_COUNT = 1 << 40
_MAX_EXPONENT = 4400
_MAX_MANTISSA = 600
_MAX_HALVED = 10
_MAX_BUCKET = 1 << 18
_MAX_RANK = 53
_MAX_SPARSE = REGISTERS // 4
_RANK_BITS = 6

_Exact: TypeAlias = tuple[int, int | bytes]
_Registers: TypeAlias = list[int] | bytes


@dataclass(frozen=True)
class Shape:
    """What a state is of; states of one shape can be merged. `length` is a vector's."""

    kind: ValueKind
    length: int = 0


@dataclass(frozen=True)
class State:
    """Accumulated values, in the order of the shape's accumulators. See `summary` for what they say."""

    shape: Shape
    parts: tuple[Any, ...]


class _Number(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    tally: tuple[int, int]
    total: _Exact
    squares: _Exact
    least: float
    greatest: float
    sketch: list[int]
    distinct: _Registers


class _Text(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    tally: tuple[int, int]
    distinct: _Registers


class _Vector(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    tally: tuple[int, int]
    total: list[int | _Exact]


class _Encoded(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    format: int
    kind: ValueKind
    length: int
    parts: msgspec.Raw


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Encoded).decode
_DECODERS: dict[ValueKind, Any] = {
    ValueKind.NUMBER: msgspec.msgpack.Decoder(_Number).decode,
    ValueKind.TEXT: msgspec.msgpack.Decoder(_Text).decode,
    ValueKind.VECTOR: msgspec.msgpack.Decoder(_Vector).decode,
}


def gather(shape: Shape, values: Sequence[Any], labels: Integers, time: Integers) -> list[State]:
    """The states of values by label: int64 [n] from 0 on, each of which has a value; `time` is in microseconds.

    Values are finite numbers, texts, or lists of `shape.length` finite numbers.
    """
    groups = group(labels, np.argsort(labels, kind="stable"), None, time)
    identities = Column(None, None)
    match shape.kind:
        case ValueKind.TEXT:
            column = identities = Column(hashes(values)[0], None)
        case ValueKind.NUMBER:
            numbers = np.array(values, dtype=np.float64) + 0.0
            column, identities = Column(numbers, None), Column(hashes(numbers.tolist())[0], None)
        case ValueKind.VECTOR:
            column = Column(np.array(values, dtype=np.float64).reshape(len(values), shape.length) + 0.0, None)
    found = [
        accumulator.gather(identities if kind is Kind.DISTINCT else column, groups)
        for kind, accumulator in zip(_PARTS[shape.kind], _accumulators(shape), strict=True)
    ]
    return [State(shape, parts) for parts in zip(*found, strict=True)]


def merge(one: State, other: State) -> State:
    """The state of all values of both. ValueError if they are of different shapes."""
    if one.shape != other.shape:
        raise ValueError("states of different kinds can't be merged")
    parts = zip(_accumulators(one.shape), one.parts, other.parts, strict=True)
    return State(one.shape, tuple(accumulator.merge(a, b) for accumulator, a, b in parts))


def encode(state: State) -> bytes:
    """Canonical: the same values give the same bytes."""
    parts = zip(_accumulators(state.shape), state.parts, strict=True)
    packed = [accumulator.pack(value) for accumulator, value in parts]
    return _encode((FORMAT, state.shape.kind.value, state.shape.length, packed))


def decode(data: bytes) -> State:
    """What `encode` made; ValueError for anything else. Work and memory are bounded whatever the bytes are."""
    found = _decode(data)
    vector = found.kind is ValueKind.VECTOR
    _expect(found.format == FORMAT and (1 <= found.length <= MAX_VECTOR if vector else found.length == 0))
    parts = _DECODERS[found.kind](found.parts)
    _expect(1 <= parts.tally[0] <= _MAX_COUNT)
    match parts:
        case _Number():
            _check_exact(parts.total)
            _check_exact(parts.squares)
            _expect(np.isfinite((parts.least, parts.greatest)).all())
            _check_sketch(parts.sketch, parts.tally[0])
            _check_registers(parts.distinct)
        case _Text():
            _check_registers(parts.distinct)
        case _Vector():
            exponent, *components = parts.total or [-1]
            _expect(isinstance(exponent, int) and 0 <= exponent <= _MAX_EXPONENT and len(components) == found.length)
            for component in components:
                _check_exact((-1, 0) if isinstance(component, int) else component)
    shape = Shape(found.kind, found.length)
    packed = [getattr(parts, name) for name in parts.__struct_fields__]
    unpacked = zip(_accumulators(shape), packed, strict=True)
    return State(shape, tuple(accumulator.unpack(value) for accumulator, value in unpacked))


@lru_cache(maxsize=256)
def _accumulators(shape: Shape) -> tuple[Accumulator, ...]:
    return tuple(build(kind, (), shape.length) for kind in _PARTS[shape.kind])


def _expect(holds: object) -> None:
    if not holds:
        raise ValueError("not a rollup's state")


def _check_exact(packed: _Exact) -> None:
    exponent, mantissa = packed
    _expect(0 <= exponent <= _MAX_EXPONENT)
    _expect(isinstance(mantissa, int) or len(mantissa) <= _MAX_MANTISSA)


def _check_sketch(packed: list[int], count: int) -> None:
    _expect(len(packed) % 2 == 1 and 0 <= packed[0] <= _MAX_HALVED)
    buckets, counts = packed[1::2], packed[2::2]
    _expect(1 <= len(buckets) <= MAX_BUCKETS and max(map(abs, buckets)) <= _MAX_BUCKET)
    _expect(all(a < b for a, b in pairwise(buckets)))
    _expect(min(counts) > 0 and sum(counts) == count)


def _check_registers(packed: _Registers) -> None:
    if isinstance(packed, bytes):
        _expect(len(packed) == REGISTERS and max(packed) <= _MAX_RANK)
        return
    _expect(1 <= len(packed) <= _MAX_SPARSE)
    _expect(
        all(0 <= item >> _RANK_BITS < REGISTERS and 0 < item & (1 << _RANK_BITS) - 1 <= _MAX_RANK for item in packed)
    )
    places = [item >> _RANK_BITS for item in packed]
    _expect(all(a < b for a, b in pairwise(places)))
