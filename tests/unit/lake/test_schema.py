"""What names of columns cost."""

import tracemalloc

from skerry_operator.ingest.schema import column_name


def test_a_name_of_megabytes_costs_no_more_than_what_is_left_of_it():
    """A site may nest a thousand members below one."""
    path = ("n" * (8 << 20), "m")
    tracemalloc.start()
    try:
        assert column_name(path) == "n" * 120
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
