"""The header of a columns file: what each stream of integers is, and how they make up the tree of the bodies.

A file's content, inside one zstd frame: `MAGIC`; the header's length in four bytes, little endian; the header in
MessagePack; the tokens of all streams in the streams' order; the open bits of all streams; the texts in the tree's
order. Lengths that follow from what was read before are not stored.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

MAGIC = b"SKB1"
LENGTH_BYTES = 4

Index = Annotated[int, Meta(ge=0, lt=1 << 20)]
Reference = Annotated[int, Meta(ge=-1, lt=1 << 20)]  # -1: none
Count = Annotated[int, Meta(ge=0, lt=1 << 32)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Packed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Written as an array without names."""


class Stream(_Packed, frozen=True):
    """`count` integers. From what is stored to a value: value = (predicted + error) * `step` + `base` + minus[i].

    `scheme` names the tokens; `signed` errors are zigzag; `groups` is the stream of codes whose groups the prediction
    follows, `minus` the stream that was subtracted.
    """

    count: Count
    scheme: Annotated[int, Meta(ge=0, lt=16)]
    order: Annotated[int, Meta(ge=0, le=2)] = 0
    base: Int64 = 0
    step: Annotated[int, Meta(ge=1, le=2**63 - 1)] = 1
    signed: bool = False
    lag: Annotated[int, Meta(ge=1, lt=1 << 32)] = 1
    groups: Reference = -1
    minus: Reference = -1


class Plain(_Packed, frozen=True, tag=0):
    """Texts one after another in the text section, their lengths in bytes a stream."""

    lengths: Index


class Dictionary(_Packed, frozen=True, tag=1):
    """Row i has the distinct text number codes[i]."""

    codes: Index
    distinct: "TextSpec"


class Field(_Packed, frozen=True):
    """Digits of `radix` 10 or 16, `width` of them; 0: as many as the number has."""

    radix: Annotated[int, Meta(ge=10, le=16)]
    width: Annotated[int, Meta(ge=0, le=18)]
    numbers: Index


class Template(_Packed, frozen=True, tag=2):
    """Fixed text around numbers: literals[0], fields[0], literals[1], and so on."""

    literals: Annotated[list[str], Meta(min_length=2, max_length=33)]
    fields: Annotated[list[Field], Meta(min_length=1, max_length=32)]


class Times(_Packed, frozen=True, tag=3):
    """RFC 3339 times with `digits` of a second's fraction and then `zone`; µs since 1970 as that clock shows it."""

    digits: Annotated[int, Meta(ge=0, le=6)]
    zone: str
    micros: Index


TextSpec = Plain | Dictionary | Template | Times


class MissingSpec(_Packed, frozen=True, tag=0):
    pass


class NullSpec(_Packed, frozen=True, tag=1):
    pass


class BoolsSpec(_Packed, frozen=True, tag=2):
    values: Index


class IntsSpec(_Packed, frozen=True, tag=3):
    values: Index


class Decimal(_Packed, frozen=True, tag=0):
    """Doubles `ulps[i]` units in the last place above numbers[i] / 10**`places`; ulps -1: none is off."""

    places: Annotated[int, Meta(ge=0, le=22)]
    numbers: Index
    ulps: Reference = -1


class Binary(_Packed, frozen=True, tag=1):
    """Doubles as numbers[i] * 2**-`places`, exactly."""

    places: Annotated[int, Meta(ge=-1023, le=1074)]
    numbers: Index


class Bits(_Packed, frozen=True, tag=2):
    """Doubles by their bits in the order of the numbers (see `floats`), without the `low` last ones, which are zero."""

    low: Annotated[int, Meta(ge=0, le=63)]
    numbers: Index


class FloatsSpec(_Packed, frozen=True, tag=4):
    """`whole`: -2 none was an integer, -1 all were that have no fraction, else the stream of marks."""

    form: Decimal | Binary | Bits
    whole: Annotated[int, Meta(ge=-2, lt=1 << 20)] = -2


class StringsSpec(_Packed, frozen=True, tag=5):
    texts: TextSpec


class JsonSpec(_Packed, frozen=True, tag=6):
    texts: TextSpec


class ObjectSpec(_Packed, frozen=True, tag=7):
    keys: list[str]
    members: "list[NodeSpec]"


class ArraySpec(_Packed, frozen=True, tag=8):
    items: "Annotated[list[NodeSpec], Meta(min_length=1)]"


class ListsSpec(_Packed, frozen=True, tag=9):
    lengths: Index
    elements: "NodeSpec"


class MixedSpec(_Packed, frozen=True, tag=10):
    tags: Index
    parts: "Annotated[list[NodeSpec], Meta(min_length=1, max_length=8)]"


NodeSpec = (
    MissingSpec
    | NullSpec
    | BoolsSpec
    | IntsSpec
    | FloatsSpec
    | StringsSpec
    | JsonSpec
    | ObjectSpec
    | ArraySpec
    | ListsSpec
    | MixedSpec
)


class AbsentSpec(_Packed, frozen=True):
    """Absent ranges: how far each begins behind the one before's end, its last - first, its reason in `reasons`."""

    gaps: Index
    lengths: Index
    codes: Index
    reasons: list[str]


class Header(_Packed, frozen=True):
    """One batch. `hlc` is stored as its distance from the physical time that `received` gives it."""

    site: str
    node: str
    stream: str
    epoch: str
    after: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    last: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    rows: Count
    streams: list[Stream]
    time: Index
    received: Index
    hlc: Index
    flags: Index
    body: NodeSpec
    odd: "OddSpec | None" = None
    absent: AbsentSpec | None = None


class OddSpec(_Packed, frozen=True):
    """Bodies that are not read as JSON, byte for byte in the text section: their row numbers and lengths."""

    rows: Index
    lengths: Index
