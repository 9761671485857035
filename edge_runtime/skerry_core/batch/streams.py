"""Streams of integers to bytes and back: for each the cheapest prediction and tokens, then all of them in one piece."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.layout import Stream
from skerry_core.batch.prediction import Groups, Int64s, Predictor, unzigzag, zigzag
from skerry_core.batch.tokens import SCHEMES, ZEROS, Tokens, pack_bits, unpack_values

_ESTIMATE = 4  # the scheme whose cost stands for that of all, when predictions are compared
_MAX_GROUPINGS = 3
_ROWS_A_GROUP = 4
_PROMISING = 1.05  # a line is tried where the value before is no worse than this against nothing


@dataclass(frozen=True, slots=True)
class Coded:
    """A stream ready to be written: about `bits` long."""

    spec: Stream
    unsigned: NDArray[np.uint64]
    bits: float


@dataclass(slots=True)
class _Pending:
    values: Int64s
    lags: tuple[int, ...]
    near: int
    codes: bool


@dataclass(slots=True)
class StreamWriter:
    """Collects streams; a stream's number is the order in which it came."""

    _pending: list[_Pending] = field(default_factory=list)

    def add(self, values: Int64s, *, lags: tuple[int, ...] = (1,), near: int = -1, codes: bool = False) -> int:
        """Take a stream, and give its number.

        `lags` are the distances at which a value may resemble an earlier one, `near` the number of a stream that it may
        resemble, `codes` says that equal values mark rows of one kind.
        """
        self._pending.append(_Pending(values, lags, near, codes))
        return len(self._pending) - 1

    def coded(self) -> list[Coded]:
        """Every stream in its cheapest form."""
        groupings = self._groupings()
        # Codes are only ever said to equal other codes, so that no stream can come to depend on itself.
        seen: dict[tuple[bool, bytes], int] = {}
        result = []
        for number, one in enumerate(self._pending):
            same = seen.setdefault((one.codes, one.values.tobytes()), number)
            if same != number:
                result.append(_zeros(Stream(len(one.values), ZEROS, minus=same)))
                continue
            usable = {} if one.codes else {at: by for at, by in groupings.items() if len(by.order) == len(one.values)}
            best = cheapest(one.values, one.lags, usable)
            if one.near >= 0:
                other = cheapest(one.values - self._pending[one.near].values, one.lags, usable)
                if other.bits < best.bits:
                    best = Coded(msgspec.structs.replace(other.spec, minus=one.near), other.unsigned, other.bits)
            result.append(best)
        return result

    def _groupings(self) -> dict[int, Groups]:
        """The first streams of codes whose groups are few and large, each a different division."""
        found: dict[bytes, int] = {}
        for number, one in enumerate(self._pending):
            kinds = len(np.unique(one.values)) if one.codes else 0
            if 1 < kinds <= len(one.values) // _ROWS_A_GROUP and len(found) < _MAX_GROUPINGS:
                found.setdefault(one.values.tobytes(), number)
        return {number: Groups.of(self._pending[number].values) for number in found.values()}


def cheapest(values: Int64s, lags: tuple[int, ...] = (1,), groupings: dict[int, Groups] | None = None) -> Coded:
    """The form of a stream that costs least, by the entropy of its tokens."""
    count = len(values)
    if not count or (values == values[0]).all():
        return _zeros(Stream(count, ZEROS, base=int(values[0]) if count else 0))
    lowest, highest = int(values.min()), int(values.max())
    base, step = int(values[0]), 1
    if highest - lowest < 2**63:
        step = int(np.gcd.reduce(values - lowest))
        base = lowest
    scaled = (values - base) // step
    middle = int(np.partition(scaled, count // 2)[count // 2])
    plain = _coded(Stream(count, ZEROS, 0, base, step), scaled.view(np.uint64))
    centred = Stream(count, ZEROS, 0, _wrapped(base + middle * step), step, signed=True)
    found = [plain, _coded(centred, zigzag(scaled - middle))]
    scaled = scaled - scaled[0]
    first = Stream(count, ZEROS, 1, int(values[0]), step, signed=True)
    ways: list[tuple[Stream, Groups | None]] = [
        (msgspec.structs.replace(first, lag=lag), None) for lag in lags if lag < count
    ]
    ways += [(msgspec.structs.replace(first, groups=at), groups) for at, groups in (groupings or {}).items()]
    for spec, groups in ways:
        once = _coded(spec, zigzag(Predictor(1, spec.lag).errors(scaled, groups)))
        found.append(once)
        if once.bits < plain.bits * _PROMISING:
            twice = msgspec.structs.replace(spec, order=2)
            found.append(_coded(twice, zigzag(Predictor(2, spec.lag).errors(scaled, groups))))
    return _with_best_tokens(min(found, key=lambda coded: coded.bits))


def _coded(spec: Stream, unsigned: NDArray[np.uint64]) -> Coded:
    if not unsigned.any():
        return _zeros(spec)
    spec = msgspec.structs.replace(spec, scheme=_ESTIMATE)
    return Coded(spec, unsigned, Tokens.of(unsigned, _ESTIMATE).bits())


def _with_best_tokens(coded: Coded) -> Coded:
    if coded.spec.scheme == ZEROS:
        return coded
    highest = int(coded.unsigned.max())
    bits, scheme = min(
        (Tokens.of(coded.unsigned, number).bits(), number)
        for number, scheme in enumerate(SCHEMES)
        if number != ZEROS and highest < scheme.limit
    )
    return Coded(msgspec.structs.replace(coded.spec, scheme=scheme), coded.unsigned, bits)


def _zeros(spec: Stream) -> Coded:
    return Coded(spec, np.zeros(0, np.uint64), 0.0)


def _wrapped(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


@dataclass(frozen=True, slots=True)
class StreamBytes:
    """All streams: the tokens of each that has any, and the open bits of all."""

    tokens: list[bytes]
    bits: bytes

    @staticmethod
    def of(coded: Sequence[Coded]) -> "StreamBytes":
        split = [Tokens.of(one.unsigned, one.spec.scheme) for one in coded if one.spec.scheme != ZEROS]
        if not split:
            return StreamBytes([], b"")
        bits = pack_bits(np.concatenate([one.rest for one in split]), np.concatenate([one.width for one in split]))
        return StreamBytes([one.tokens.tobytes() for one in split], bits)


class StreamReader:
    """Gives streams by number, each computed once. Errors of its methods are ValueError."""

    def __init__(self, specs: Sequence[Stream], content: bytes) -> None:
        """`content` begins with the streams' tokens and open bits; `end` is where they end in it."""
        stored = [spec for spec in specs if spec.scheme != ZEROS]
        counts = np.array([spec.count for spec in stored], np.int64)
        schemes = np.array([spec.scheme for spec in stored], np.uint8)
        if len(schemes) and schemes.max() >= len(SCHEMES):
            raise ValueError("tokens of an unknown scheme")
        total = int(counts.sum())
        if total > len(content):
            raise ValueError("the tokens are cut off")
        tokens = np.frombuffer(content, np.uint8, total)
        self._specs = specs
        self._unsigned, taken = unpack_values(tokens, np.repeat(schemes, counts), content[total:])
        self.end = total + taken
        ends = iter(np.cumsum(counts).tolist())
        self._ends = [next(ends) if spec.scheme != ZEROS else 0 for spec in specs]
        self._values: dict[int, Int64s] = {}
        self._groups: dict[int, Groups] = {}
        self._open: set[int] = set()

    def __len__(self) -> int:
        return len(self._specs)

    def values(self, number: int, count: int | None = None) -> Int64s:
        """A stream's integers [count]. ValueError if it has another length, or refers to itself."""
        if number not in self._values:
            if number in self._open or not 0 <= number < len(self._specs):
                raise ValueError(f"there is no stream {number}, or it refers to itself")
            self._open.add(number)
            self._values[number] = self._computed(number)
        values = self._values[number]
        if count is not None and len(values) != count:
            raise ValueError(f"stream {number} has {len(values)} values instead of {count}")
        return values

    def _computed(self, number: int) -> Int64s:
        spec = self._specs[number]
        values = np.zeros(spec.count, np.int64)
        if spec.scheme != ZEROS:
            end = self._ends[number]
            unsigned = self._unsigned[end - spec.count : end]
            errors = unzigzag(unsigned) if spec.signed else unsigned.view(np.int64)
            groups = self._grouping(spec.groups, spec.count) if spec.groups >= 0 else None
            if groups is not None and spec.lag != 1:
                raise ValueError("groups and a lag exclude each other")
            values = Predictor(spec.order, spec.lag).values(errors, groups)
            if spec.step != 1:
                values = values * np.int64(spec.step)
        if spec.base:
            values = values + np.int64(spec.base)
        return values + self.values(spec.minus, spec.count) if spec.minus >= 0 else values

    def _grouping(self, number: int, count: int) -> Groups:
        codes = self.values(number, count)
        if number not in self._groups:
            self._groups[number] = Groups.of(codes)
        return self._groups[number]
