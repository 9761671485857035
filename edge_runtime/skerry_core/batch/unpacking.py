"""The content of a columns file to its tree; everything in it is from outside and checked."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from skerry_core.batch import columnar, digits, floats
from skerry_core.batch.layout import (
    LENGTH_BYTES,
    MAGIC,
    ArraySpec,
    Binary,
    Bits,
    BoolsSpec,
    Decimal,
    Dictionary,
    Field,
    FloatsSpec,
    Header,
    IntsSpec,
    JsonSpec,
    ListsSpec,
    MissingSpec,
    MixedSpec,
    NodeSpec,
    NullSpec,
    ObjectSpec,
    Plain,
    StringsSpec,
    Template,
    TextSpec,
    Times,
)
from skerry_core.batch.limits import Limits
from skerry_core.batch.nodes import (
    Array,
    Bools,
    Floats,
    Ints,
    Json,
    Lists,
    Missing,
    Mixed,
    Node,
    Null,
    Object,
    Strings,
)
from skerry_core.batch.streams import StreamReader
from skerry_core.batch.texts import Texts, offsets_of

_TIME_CHARS, _FIELD_CHARS = 26, 18  # at most, without zone and literals
_ALL_WHOLE, _NONE_WHOLE = -1, -2
_EXACT = 2.0**53
_CONTINUATION = 0x80  # the two highest bits of a UTF-8 byte that begins no character
_read_header = msgspec.msgpack.Decoder(Header).decode


class Unpacker:
    """Reads one file's content. Its methods raise ValueError (msgspec's errors are some) and RecursionError."""

    def __init__(self, content: bytes, limits: Limits) -> None:
        start = len(MAGIC) + LENGTH_BYTES
        end = start + int.from_bytes(content[len(MAGIC) : start], "little")
        if not content.startswith(MAGIC) or end > len(content):
            raise ValueError("no columns file")
        self.header = _read_header(content[start:end])
        self._limits = limits
        self._values_left, self._bytes_left, self._columns_left = (
            limits.max_values,
            limits.max_bytes,
            limits.max_columns,
        )
        self._charge_values(sum(spec.count for spec in self.header.streams))
        self.streams = StreamReader(self.header.streams, content[end:])
        self._content, self._place = content, end + self.streams.end

    def node(  # noqa: C901, PLR0911, PLR0912 - one case a kind of node
        self, spec: NodeSpec, count: int, nesting: int = 0, *, may_lack: bool = False
    ) -> Node:
        """The node of `count` values; only a member of an object or a row's body `may_lack` its value."""
        self._charge_column(count, nesting)
        match spec:
            case MissingSpec():
                if not may_lack:
                    raise ValueError("only a member can be missing")
                return Missing(count)
            case NullSpec():
                return Null(count)
            case BoolsSpec(values=number):
                return Bools(self._marks(number, count))
            case IntsSpec(values=number):
                return Ints(self.streams.values(number, count))
            case FloatsSpec():
                return self._floats(spec, count)
            case StringsSpec(texts=texts):
                return Strings(Texts(self._strings(texts, count)))
            case JsonSpec(texts=texts):
                return Json(Texts(self._strings(texts, count)))
            case ObjectSpec(keys=keys, members=members):
                if len(set(keys)) < len(keys):
                    raise ValueError("an object with a key twice")
                nodes = [self.node(member, count, nesting + 1, may_lack=True) for member in members]
                # A name is here once, and in the text of every object that has the member.
                self._charge_bytes(sum(len(key) * _present(member) for key, member in zip(keys, nodes, strict=True)))
                return Object(count, tuple(zip(keys, nodes, strict=True)))
            case ArraySpec(items=items):
                return Array(count, tuple(self.node(item, count, nesting + 1) for item in items))
            case ListsSpec(lengths=number, elements=elements):
                lengths = self._lengths(number, count)
                return Lists(lengths, self.node(elements, int(lengths.sum()), nesting + 1))
            case MixedSpec():
                return self._mixed(spec, count, nesting, may_lack=may_lack)

    def _mixed(self, spec: MixedSpec, count: int, nesting: int, *, may_lack: bool) -> Mixed:
        tags = self.streams.values(spec.tags, count)
        if len(tags) and not 0 <= int(tags.min()) <= int(tags.max()) < len(spec.parts):
            raise ValueError("a tag without a part")
        if any(isinstance(part, MixedSpec) for part in spec.parts) or any(
            isinstance(part, MissingSpec) for part in spec.parts[1:]
        ):
            raise ValueError("parts in another order than they are written")
        counts = np.bincount(tags, minlength=len(spec.parts)).tolist()
        if not all(counts):
            raise ValueError("a part without values")
        parts = (
            self.node(part, size, nesting + 1, may_lack=may_lack) for part, size in zip(spec.parts, counts, strict=True)
        )
        return Mixed(tags, tuple(parts))

    def _floats(self, spec: FloatsSpec, count: int) -> Floats:
        with np.errstate(all="ignore"):
            match spec.form:
                case Decimal(places=places, numbers=number, ulps=ulps):
                    corrections = np.zeros(0, np.int64) if ulps < 0 else self.streams.values(ulps, count)
                    numbers = self.streams.values(number, count)
                    values = floats.from_decimals(floats.Decimals(places, numbers, corrections))
                case Binary(places=places, numbers=number):
                    values = floats.from_binary(self.streams.values(number, count), places)
                case Bits(low=low, numbers=number):
                    values = floats.from_bits(self.streams.values(number, count), low)
        if not np.isfinite(values).all():
            raise ValueError("a number that JSON does not have")
        if spec.whole == _NONE_WHOLE:
            return Floats(values)
        whole = np.trunc(values) == values if spec.whole == _ALL_WHOLE else self._marks(spec.whole, count)
        if (np.abs(values[whole]) > _EXACT).any():
            raise ValueError("an integer that a double does not hold")
        return Floats(values, whole)

    def _marks(self, number: int, count: int) -> NDArray[np.bool_]:
        marks: NDArray[np.bool_] = self.streams.values(number, count) != 0
        return marks

    def _lengths(self, number: int, count: int) -> NDArray[np.int64]:
        lengths = self.streams.values(number, count)
        if len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= self._limits.max_bytes:
            raise ValueError("lengths out of bounds")
        return lengths

    def raw(self, lengths: NDArray[np.int64]) -> bytes:
        """The next bytes of the text section."""
        end = self._place + int(lengths.sum())
        if end > len(self._content):
            raise ValueError("the texts are cut off")
        data = self._content[self._place : end]
        self._place = end
        return data

    def lengths(self, number: int) -> NDArray[np.int64]:
        """A stream of lengths, however many."""
        return self._lengths(number, len(self.streams.values(number)))

    def end(self) -> None:
        """ValueError if anything is left that was not read."""
        if self._place != len(self._content):
            raise ValueError("bytes that belong to nothing")

    def _strings(self, spec: TextSpec, count: int) -> columnar.Strings:
        strings = self._texts(spec, count)
        lengths = np.diff(strings.offsets)
        total = int(lengths.sum() if strings.codes is None else lengths[strings.codes].sum())
        self._charge_bytes(total)
        return strings

    def _texts(self, spec: TextSpec, count: int) -> columnar.Strings:
        match spec:
            case Plain(lengths=number):
                lengths = self._lengths(number, count)
                return _utf8(columnar.Strings(offsets_of(lengths), self.raw(lengths)))
            case Dictionary(codes=number, distinct=distinct):
                codes = self.streams.values(number, count)
                kinds = int(codes.max(initial=-1)) + 1
                if isinstance(distinct, Dictionary) or kinds > count or int(codes.min(initial=0)) < 0:
                    raise ValueError("a dictionary of dictionaries, or of more texts than rows")
                texts = self._texts(distinct, kinds)
                return columnar.Strings(texts.offsets, texts.data, codes)
            case Template(literals=literals, fields=fields):
                return self._template(literals, fields, count)
            case Times(digits=digit_count, zone=zone, micros=number):
                self._charge_bytes(count * (_TIME_CHARS + len(zone)))
                return digits.from_times(digits.Times(digit_count, zone, self.streams.values(number, count)))

    def _template(self, literals: Sequence[str], fields: Sequence[Field], count: int) -> columnar.Strings:
        if len(literals) != len(fields) + 1 or any(
            field.radix not in (digits.DECIMAL, digits.HEX) or (field.radix == digits.HEX and not field.width)
            for field in fields
        ):
            raise ValueError("a template that is none")
        numbers = [digits.Numbers(one.radix, one.width, self.streams.values(one.numbers, count)) for one in fields]
        self._charge_bytes(count * (sum(map(len, literals)) + sum(one.width or _FIELD_CHARS for one in fields)))
        return digits.from_template(digits.Template(list(literals), numbers))

    def _charge_column(self, count: int, nesting: int) -> None:
        self._columns_left -= 1
        if self._columns_left < 0 or nesting > self._limits.max_depth:
            raise ValueError("more columns, or nested more deeply, than the limits allow")
        self._charge_values(count)

    def _charge_values(self, count: int) -> None:
        self._values_left -= count
        if self._values_left < 0:
            raise ValueError("more values than the limits allow")

    def _charge_bytes(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise ValueError("more text than the limits allow")


def _present(member: Node) -> int:
    """How many objects have a member."""
    match member:
        case Missing():
            return 0
        case Mixed(tags=tags, parts=(Missing(), *_)):
            return int(np.count_nonzero(tags))
    return member.count


def _utf8(strings: columnar.Strings) -> columnar.Strings:
    """The same; ValueError unless each text by itself is UTF-8."""
    if not strings.data.isascii():
        strings.data.decode()
        starts = strings.offsets[strings.offsets < len(strings.data)]
        if (np.frombuffer(strings.data, np.uint8)[starts] & 0xC0 == _CONTINUATION).any():
            raise ValueError("a text that begins within a character")
    return strings
