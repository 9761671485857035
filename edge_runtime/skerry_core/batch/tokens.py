"""Unsigned integers as one byte each for zstd's Huffman stage, and the low bits that no model predicts as they are.

The hybrid integers of JPEG XL (ISO/IEC 18181-1, annex C): small values are their own token; of a larger one the token
says the position of its highest bit and the next few bits, and the rest follows in a bit stream. So the entropy coder
sees the shape of a distribution over many magnitudes in a small alphabet, and noise costs what it must.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WORD = 64
_MANTISSA, _BIAS = 52, 1023  # of IEEE 754 doubles
_ALPHABET = 256


@dataclass(frozen=True, slots=True)
class Scheme:
    """Values below 2**`direct` are their own token; of others the token has `lead` bits after the highest."""

    direct: int
    lead: int

    @property
    def limit(self) -> int:
        """Values must be below this."""
        octaves = (_ALPHABET - (1 << self.direct)) >> self.lead
        return 1 << min(self.direct + octaves, _WORD)


# By number, as a stream's spec names them. A stream of nothing but zeros is stored by its length alone.
ZEROS = 0
SCHEMES = (Scheme(0, 0), Scheme(8, 0), Scheme(2, 0), Scheme(4, 1), Scheme(4, 2), Scheme(4, 3), Scheme(5, 4))


def _tables() -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    starts = np.zeros((len(SCHEMES), _ALPHABET), np.uint64)
    widths = np.zeros((len(SCHEMES), _ALPHABET), np.uint8)
    for number, scheme in enumerate(SCHEMES):
        for token in range(_ALPHABET):
            above = token - (1 << scheme.direct)
            high = scheme.direct + (above >> scheme.lead)
            if above < 0:
                starts[number, token] = token
            elif high < _WORD:
                width = high - scheme.lead
                starts[number, token] = (1 << high) | ((above & ((1 << scheme.lead) - 1)) << width)
                widths[number, token] = width
    return starts.ravel(), widths.ravel()


# The smallest value of each token, and how many of its low bits are in the bit stream.
_STARTS, _WIDTHS = _tables()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens [n] of values, and for each the `width` low bits `rest` that it leaves open."""

    tokens: NDArray[np.uint8]
    width: NDArray[np.uint8]
    rest: NDArray[np.uint64]

    @staticmethod
    def of(values: NDArray[np.uint64], scheme: int) -> "Tokens":
        """Split values, all below the scheme's limit."""
        direct, lead = SCHEMES[scheme].direct, SCHEMES[scheme].lead
        small = values < np.uint64(1 << direct)
        # A double's bits begin with the position of its highest bit and go on with the bits after it.
        double = _exact_head(values).astype(np.float64).view(np.int64)
        head = (double >> (_MANTISSA - lead)) + ((1 << direct) - ((_BIAS + direct) << lead))
        width = np.where(small, 0, (double >> _MANTISSA) - (_BIAS + lead)).astype(np.uint64)
        tokens = np.where(small, values.view(np.int64), head).astype(np.uint8)
        return Tokens(tokens, width.astype(np.uint8), values & ((np.uint64(1) << width) - np.uint64(1)))

    def bits(self) -> float:
        """About what these cost in bits: their order-0 entropy, the table that says it, and the open bits."""
        counts = np.bincount(self.tokens)
        counts = counts[counts > 0]
        total = len(self.tokens)
        entropy = float(total * np.log2(total) - (counts * np.log2(counts)).sum())
        return entropy + _TABLE_BITS * (len(counts) - 1) + float(self.width.sum(dtype=np.int64))


_TABLE_BITS = 4.0  # an entry of a Huffman table, itself compressed


def _exact_head(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Values that doubles hold exactly, with the same highest 53 bits."""
    if len(values) and values.max() >= np.uint64(1 << 53):
        return np.where(values < np.uint64(1 << 53), values, values & ~np.uint64(2047))
    return values


def pack_bits(rest: NDArray[np.uint64], width: NDArray[np.uint8]) -> bytes:
    """Concatenate the `width` low bits of each value, highest bit first; the last byte is filled with zeros."""
    used = width > 0
    rest, widths = rest[used], width[used].astype(np.uint64)
    if not len(rest):
        return b""
    ends = np.cumsum(widths, dtype=np.uint64)
    starts = ends - widths
    word, shift = starts >> np.uint64(6), starts & np.uint64(63)
    aligned = rest << (np.uint64(_WORD) - widths)
    words = np.zeros(int(word[-1]) + 2, np.uint64)
    first = np.flatnonzero(np.diff(word, prepend=np.uint64(2**64 - 1)))
    at = word[first].astype(np.int64)
    words[at] = np.bitwise_or.reduceat(aligned >> shift, first)
    # At most one value crosses from each word into the next.
    spill = shift + widths > np.uint64(_WORD)
    words[word[spill].astype(np.int64) + 1] |= aligned[spill] << (np.uint64(_WORD) - shift[spill])
    return words.astype(">u8").tobytes()[: -(-int(ends[-1]) // 8)]


def unpack_values(
    tokens: NDArray[np.uint8], scheme: NDArray[np.uint8], stream: bytes
) -> tuple[NDArray[np.uint64], int]:
    """Values of tokens, each of its own scheme, and how many bytes of `stream` held their open bits.

    ValueError if the stream is shorter.
    """
    index = scheme.astype(np.uint16) * np.uint16(_ALPHABET) + tokens
    values = _STARTS[index]
    used = np.flatnonzero(_WIDTHS[index])
    if not len(used):
        return values, 0
    widths = _WIDTHS[index[used]].astype(np.uint64)
    ends = np.cumsum(widths, dtype=np.uint64)
    taken = -(-int(ends[-1]) // 8)
    if taken > len(stream):
        raise ValueError("the open bits end before their tokens do")
    words = np.frombuffer(stream[:taken] + bytes(16 - taken % 8), ">u8").astype(np.uint64)
    starts = ends - widths
    word, shift = (starts >> np.uint64(6)).astype(np.int64), starts & np.uint64(63)
    window = (words[word] << shift) | (words[word + 1] >> (np.uint64(_WORD) - shift))
    values[used] |= window >> (np.uint64(_WORD) - widths)
    return values, taken
