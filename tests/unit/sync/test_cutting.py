import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.codec import Encoded
from skerry_core.batch.contents import Absent, AbsentReason, LogName, Row
from skerry_core.batch.key import Format
from skerry_edge.events.holes import Hole, HoleReason
from skerry_edge.sync.cutting import Cut, fit, joined, reasons

LOG = LogName("site-a", "node-1", "s", "e")


def row(seq: int, size: int = 10) -> Row:
    return Row(seq, 0, 0, 0, 0, b"x" * size)


def encode(contents: Cut) -> Encoded:
    """Stands for the codec: checks what it is given, and is as large as the bodies."""
    contents.batch(LOG)
    return Encoded(b"x" * (5 + sum(len(each.body) for each in contents.rows)), Format.JSONL)


def made(present: list[bool], sizes: list[int]) -> Cut:
    rows = tuple(row(seq, sizes[seq % len(sizes)]) for seq, there in enumerate(present, 1) if there)
    absent = joined(Absent(seq, seq, AbsentReason.SAMPLED) for seq, there in enumerate(present, 1) if not there)
    return Cut(0, len(present), rows, absent)


@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.lists(st.integers(0, 200), min_size=1, max_size=5),
    st.integers(1, 2000),
    st.booleans(),
)
def test_as_much_as_fits_from_one_end_and_every_number_accounted_for(present, sizes, limit, newest):
    whole = made(present, sizes)
    found = fit(whole, limit, encode, newest=newest)
    assert len(found.encoded.data) <= limit or len(found.cut.rows) <= 1
    assert found.cut.rows == (whole.rows[-len(found.cut.rows) :] if newest else whole.rows[: len(found.cut.rows)])
    if newest:
        assert found.cut.last == whole.last
    else:
        assert found.cut.after == whole.after
    assert found.cut.rows or not whole.rows


@pytest.mark.parametrize("newest", [True, False])
def test_cut_and_rest_make_the_whole(newest):
    whole = made([True, False, True, False, False, True, True], [10])
    part = whole.newest(2) if newest else whole.oldest(2)
    assert (part.after, part.last) == ((3, 7) if newest else (0, 5))
    part.batch(LOG)


def test_neighbours_of_one_reason_are_one():
    holes = [Hole(1, 3, HoleReason.SKIPPED), Hole(4, 4, HoleReason.REMOVED), Hole(6, 9, HoleReason.EXPIRED)]
    more = [Absent(5, 5, AbsentReason.SHED), Absent(10, 12, AbsentReason.EXPIRED), Absent(13, 13, AbsentReason.CONSENT)]
    assert [(part.first, part.last, part.reason) for part in joined([*more, *reasons(holes)])] == [
        (1, 3, AbsentReason.SKIPPED),
        (4, 5, AbsentReason.SHED),
        (6, 12, AbsentReason.EXPIRED),
        (13, 13, AbsentReason.CONSENT),
    ]


@pytest.mark.parametrize("reason", list(HoleReason))
def test_every_reason_has_its_word(reason):
    assert reasons([Hole(1, 2, reason)])[0].first == 1
