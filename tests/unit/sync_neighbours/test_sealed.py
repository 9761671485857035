"""What goes from node to node: read by who has the key, and whole or refused."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.sync.neighbours import sealed
from skerry_edge.sync.neighbours.sealed import CHUNK, seal, sealed_size, unseal

KEY, NAME = b"k" * 32, "version.digest"
EDGES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7]


def pieces(data, cuts):
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:stop] for start, stop in pairwise(edges)]


@given(size=st.sampled_from(EDGES), cuts=st.lists(st.integers(0, 3 * CHUNK), max_size=5))
def test_what_is_unsealed_is_what_was_sealed_however_it_is_cut(size, cuts):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    out = b"".join(seal(KEY, NAME, pieces(data, cuts)))
    assert len(out) == sealed_size(size)
    assert b"".join(unseal(KEY, NAME, pieces(out, cuts))) == data


def test_no_two_transfers_are_alike():
    assert b"".join(seal(KEY, NAME, [b"a"])) != b"".join(seal(KEY, NAME, [b"a"]))


@pytest.mark.parametrize(
    "how", ["key", "name", "flipped", "cut", "cut at a chunk", "longer", "chunks swapped", "nothing", "random cut"]
)
def test_anything_else_is_refused(how):
    data = bytes(CHUNK) + bytes([1]) * CHUNK + b"end"
    out, step = b"".join(seal(KEY, NAME, [data])), CHUNK + sealed._TAG
    first, rest = out[: sealed._RANDOM], out[sealed._RANDOM :]
    flipped = bytearray(out)
    flipped[len(out) // 2] ^= 1
    received = {
        "flipped": bytes(flipped),
        "cut": out[:-1],
        "cut at a chunk": out[: sealed._RANDOM + step],
        "longer": out + b"x",
        "chunks swapped": first + rest[step : 2 * step] + rest[:step] + rest[2 * step :],
        "nothing": b"",
        "random cut": out[:5],
    }.get(how, out)
    key, name = b"x" * 32 if how == "key" else KEY, "other" if how == "name" else NAME
    with pytest.raises(ValueError, match="cut short"):
        list(unseal(key, name, [received]))
