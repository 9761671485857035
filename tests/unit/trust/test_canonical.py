import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.canonical import canonical_json, parse_canonical

DOCUMENTS = st.dictionaries(
    st.text(),
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
)


@settings(deadline=None)
@given(DOCUMENTS)
def test_canonical_bytes_are_read_back(document):
    assert canonical_json(parse_canonical(canonical_json(document))) == canonical_json(document)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b'{"a": 1}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e999}',
        b'{"a":NaN}',
        b'{"a":99999999999999999999}',
        b'{"a":"\\u00e9"}',
        b'{"a":"\\ud800"}',
        '{"a":1}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_other_spellings_are_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        parse_canonical(data)
