"""A batch's tree and clocks to the content of a columns file."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from skerry_core.batch import digits, floats
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
from skerry_core.batch.streams import StreamBytes, StreamWriter, cheapest
from skerry_core.batch.texts import strings_of

Int64s = NDArray[np.int64]
Lags = tuple[int, ...]
_REPEATS = 2  # a dictionary pays if each text occurs so often
_FEW_TEXTS = 4
_SAMPLE = 512


class Packer:
    """Puts one batch's streams and texts in order."""

    def __init__(self) -> None:
        self.streams = StreamWriter()
        self._texts: list[bytes] = []
        self._time = -1
        self._rows = -1

    def clock(self, time: Int64s) -> int:
        """The rows' event times, which times in the bodies are compared with."""
        self._time, self._rows = self.streams.add(time), len(time)
        return self._time

    def raw(self, pieces: list[bytes]) -> int:
        """Pieces of bytes; gives the stream of their lengths."""
        self._texts.append(b"".join(pieces))
        return self.streams.add(np.array(list(map(len, pieces)), np.int64))

    def content(self, header: Header) -> list[bytes]:
        """The file's content in pieces that are unlike each other; `header` lacks the streams."""
        coded = self.streams.coded()
        packed = StreamBytes.of(coded)
        head = msgspec.msgpack.encode(msgspec.structs.replace(header, streams=[one.spec for one in coded]))
        front = MAGIC + len(head).to_bytes(LENGTH_BYTES, "little") + head
        return [front, *packed.tokens, packed.bits, *self._texts]

    def node(self, node: Node, lags: Lags = (1,)) -> NodeSpec:  # noqa: C901, PLR0911 - one case a kind of node
        """A node's spec, its values added to the streams. `lags`: see `StreamWriter.add`."""
        match node:
            case Missing():
                return MissingSpec()
            case Null():
                return NullSpec()
            case Bools(values=bools):
                return BoolsSpec(self.streams.add(bools.astype(np.int64), lags=lags))
            case Ints(values=integers):
                return IntsSpec(self.streams.add(integers, lags=lags))
            case Floats():
                return self._floats(node, lags)
            case Strings(texts=texts):
                return StringsSpec(self._strings(texts.listed()))
            case Json(texts=texts):
                return JsonSpec(self._strings(texts.listed()))
            case Object(members=members):
                return ObjectSpec([key for key, _ in members], [self.node(member, lags) for _, member in members])
            case Array(items=items):
                return ArraySpec([self.node(item, lags) for item in items])
            case Lists(lengths=lengths, elements=elements):
                number = self.streams.add(lengths)
                same = len(lengths) > 0 and bool((lengths == lengths[0]).all())
                inside = (1, *(lag * int(lengths[0]) for lag in lags if lengths[0])) if same else (1,)
                return ListsSpec(number, self.node(elements, inside[:3]))
            case Mixed(tags=tags, parts=parts):
                return MixedSpec(self.streams.add(tags, codes=True), [self.node(part) for part in parts])

    def _floats(self, node: Floats, lags: Lags) -> FloatsSpec:
        form = self._doubles(node.values, lags)
        if node.whole is None:
            return FloatsSpec(form)
        if bool((node.whole == (np.trunc(node.values) == node.values)).all()):
            return FloatsSpec(form, whole=-1)
        return FloatsSpec(form, whole=self.streams.add(node.whole.astype(np.int64)))

    def _doubles(self, values: NDArray[np.float64], lags: Lags) -> Decimal | Binary | Bits:
        decimals = floats.as_decimals(values)
        if decimals is not None and not decimals.ulps.any():
            return Decimal(decimals.places, self.streams.add(decimals.numbers, lags=lags))
        binary, (low, bits) = floats.as_binary(values), floats.as_bits(values)
        costs = {"bits": _cost(bits, lags)}
        if decimals is not None:
            costs["decimal"] = _cost(decimals.numbers, lags) + _cost(decimals.ulps, lags)
        if binary is not None:
            costs["binary"] = _cost(binary[1], lags)
        best = min(costs, key=costs.__getitem__)
        if best == "decimal" and decimals is not None:
            numbers = self.streams.add(decimals.numbers, lags=lags)
            return Decimal(decimals.places, numbers, self.streams.add(decimals.ulps, lags=lags))
        if best == "binary" and binary is not None:
            return Binary(binary[0], self.streams.add(binary[1], lags=lags))
        return Bits(low, self.streams.add(bits, lags=lags))

    def _strings(self, texts: list[str]) -> TextSpec:
        times = digits.as_times(texts) if texts else None
        if times is not None:
            near = self._time if len(texts) == self._rows else -1
            return Times(times.digits, times.zone, self.streams.add(times.micros, near=near))
        distinct = {text: code for code, text in enumerate(dict.fromkeys(texts))}
        if len(texts) >= _FEW_TEXTS and len(distinct) * _REPEATS <= len(texts):
            codes = np.fromiter(map(distinct.__getitem__, texts), np.int64, len(texts))
            return Dictionary(self.streams.add(codes, codes=True), self._distinct(list(distinct)))
        return self._distinct(texts)

    def _distinct(self, texts: list[str]) -> TextSpec:
        template = digits.as_template(texts) if len(texts) >= _FEW_TEXTS else None
        if template is not None:
            fields = [Field(one.radix, one.width, self.streams.add(one.values)) for one in template.fields]
            return Template(template.literals, fields)
        strings = strings_of(texts)
        self._texts.append(strings.data)
        return Plain(self.streams.add(np.diff(strings.offsets)))


def _cost(values: Int64s, lags: Lags) -> float:
    """What the beginning of a stream costs, to compare forms of the same numbers."""
    return cheapest(values[:_SAMPLE], lags).bits
