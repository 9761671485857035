import pytest

from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.json_shape import decode_value


def test_a_string_that_never_ends_costs_one_pass():
    hostile = b"[" * 33 + b'"' + b'\\"' * 130_000
    with pytest.raises(MalformedError):
        decode_value(hostile)
