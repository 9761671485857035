import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.json_shape import check_skipped, decode_small, decode_value


def test_a_string_that_never_ends_costs_one_pass():
    hostile = b"[" * 33 + b'"' + b'\\"' * 130_000
    with pytest.raises(MalformedError):
        decode_value(hostile)


NUMBERS = st.from_regex(rb"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
STRINGS = st.one_of(
    st.sampled_from([rb"\ud800", rb"\ud83d\ude00", rb"\n", rb"\x", b"\xff", "é".encode(), b"\n", b"1e999", b"1e 999"]),
    st.binary(max_size=4),
).map(lambda inner: b'"' + inner + b'"')
SKIPPED = msgspec.json.Decoder(list[msgspec.Raw])


def outcome(check, data):
    try:
        check(data)
    except MalformedError as error:
        return str(error)
    return None


@given(st.lists(st.one_of(NUMBERS, STRINGS, st.sampled_from([b"null", b'{"a":[]}'])), max_size=4), st.data())
def test_what_was_skipped_is_refused_as_what_is_decoded(values, data):
    text = bytearray(b"[" + b",".join(values) + b"]")
    if data.draw(st.booleans()):
        text.insert(data.draw(st.integers(1, len(text) - 1)), data.draw(st.sampled_from(b'0e-+."\\ ')))
    try:
        SKIPPED.decode(text)
    except ValueError:
        reject()
    assert outcome(check_skipped, bytes(text)) == outcome(decode_small, bytes(text))
