"""How many different values: HyperLogLog with 4096 registers, whose standard error is 1.6 %.

Flajolet, Fusy, Gandouet, Meunier: "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm", 2007;
with 64 bits of hash and a sparse form while few registers are in use, as in Heule, Nunkesser, Hall: "HyperLogLog in
practice", 2013. The estimate is Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches", 2017,
algorithm 6), which needs no table of corrections, nor a logarithm, whose last bit differs between machines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import TypeAlias

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups

PRECISION = 12
REGISTERS = 1 << PRECISION
_BITS = 64 - PRECISION
_RANK_BITS = 6
# Beyond it a byte for each register is smaller.
_MAX_SPARSE = 1024
# 1 / (2 ln 2)
_ALPHA = 0.7213475204444817

Value: TypeAlias = dict[int, int] | bytes


@dataclass(frozen=True)
class Distinct(Accumulator):
    """Values are the registers: those in use by number, or all as bytes when more than a quarter is in use."""

    def gather(self, column: Column, groups: Groups) -> list[Value]:
        assert column.values is not None
        hashes = column.values[groups.rows]
        register = (hashes >> np.uint64(_BITS)).astype(np.int64)
        rest = (hashes & np.uint64((1 << _BITS) - 1)).astype(np.float64)
        rank = _BITS + 1 - np.frexp(rest)[1].astype(np.int64)
        keys = np.unique(((groups.labels << PRECISION | register) << _RANK_BITS) | rank)
        places = keys >> _RANK_BITS
        best = keys[np.concatenate((places[1:] != places[:-1], [True]))]
        found: list[dict[int, int]] = [{} for _ in groups.starts]
        for key in best.tolist():
            place = key >> _RANK_BITS
            found[place >> PRECISION][place & REGISTERS - 1] = key & (1 << _RANK_BITS) - 1
        return [_canonical(registers) for registers in found]

    def merge(self, one: Value, other: Value) -> Value:
        if isinstance(one, bytes):
            one, other = other, one
        if isinstance(one, bytes) and isinstance(other, bytes):
            return np.maximum(np.frombuffer(one, np.uint8), np.frombuffer(other, np.uint8)).tobytes()
        assert isinstance(one, dict)
        if isinstance(other, bytes):
            registers = bytearray(other)
            for place, rank in one.items():
                registers[place] = max(registers[place], rank)
            return bytes(registers)
        merged = dict(one)
        for place, rank in other.items():
            merged[place] = max(merged.get(place, 0), rank)
        return _canonical(merged)

    def fold(self, values: Sequence[Value]) -> Value:
        merged: dict[int, int] = {}
        for value in values:
            if isinstance(value, bytes):
                return reduce(self.merge, values)
            for place, rank in value.items():
                if rank > merged.get(place, 0):
                    merged[place] = rank
        return _canonical(merged)

    def pack(self, value: Value) -> list[int] | bytes:
        if isinstance(value, bytes):
            return value
        return [place << _RANK_BITS | value[place] for place in sorted(value)]

    def unpack(self, packed: list[int] | bytes) -> Value:
        if isinstance(packed, bytes):
            if len(packed) != REGISTERS:
                raise ValueError("not all registers are there")
            return packed
        return {item >> _RANK_BITS: item & (1 << _RANK_BITS) - 1 for item in packed}


def estimate(value: Value) -> float:
    """How many different values were seen, as a whole number; infinity if every register is as high as it can be."""
    ranks = [0] * (_BITS + 2)
    for rank in value if isinstance(value, bytes) else value.values():
        ranks[rank] += 1
    if not isinstance(value, bytes):
        ranks[0] = REGISTERS - len(value)
    z = REGISTERS * _tau(1 - ranks[_BITS + 1] / REGISTERS)
    for count in ranks[_BITS:0:-1]:
        z = 0.5 * (z + count)
    z += REGISTERS * _sigma(ranks[0] / REGISTERS)
    return float(round(_ALPHA * REGISTERS * REGISTERS / z)) if z else math.inf


def _canonical(registers: dict[int, int]) -> Value:
    if len(registers) <= _MAX_SPARSE:
        return registers
    dense = bytearray(REGISTERS)
    for place, rank in registers.items():
        dense[place] = rank
    return bytes(dense)


@lru_cache(REGISTERS + 1)
def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in {0, 1}:
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
    return z / 3
