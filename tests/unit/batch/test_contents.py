import pytest

from skerry_core.batch.contents import Absent, AbsentReason, Batch, Row
from tests.unit.batch.strategies import LOG


def row(seq: int) -> Row:
    return Row(seq, 0, 0, 0, 0, b"{}")


def absent(first: int, last: int) -> Absent:
    return Absent(first, last, AbsentReason.EXPIRED)


@pytest.mark.parametrize(
    ("after", "last", "rows", "ranges"),
    [
        (0, 0, [], []),
        (4, 6, [5, 6], []),
        (4, 6, [], [(5, 6)]),
        (4, 9, [5, 8], [(6, 7), (9, 9)]),
        (4, 9, [7], [(5, 5), (6, 6), (8, 9)]),
        (0, 2**63 - 1, [2**63 - 1], [(1, 2**63 - 2)]),
    ],
)
def test_a_batch_accounts_for_every_number(after, last, rows, ranges):
    batch = Batch(LOG, after, last, tuple(map(row, rows)), tuple(absent(*one) for one in ranges))
    assert [one.seq for one in batch.rows] == rows


@pytest.mark.parametrize(
    ("after", "last", "rows", "ranges"),
    [
        (5, 4, [], []),
        (-1, 0, [0], []),
        (0, 2**63, [1], [(2, 2**63)]),
        (4, 6, [5], []),
        (4, 6, [5, 6, 7], []),
        (4, 6, [6, 5], []),
        (4, 6, [5, 5], []),
        (4, 6, [5, 6], [(6, 6)]),
        (4, 6, [5], [(5, 5)]),
        (4, 6, [], [(4, 6)]),
        (4, 6, [], [(5, 7)]),
        (4, 6, [5, 6], [(6, 5)]),
        (4, 8, [], [(5, 6), (6, 8)]),
        (4, 8, [], [(7, 8), (5, 6)]),
    ],
)
def test_what_does_not_add_up_is_refused(after, last, rows, ranges):
    with pytest.raises(ValueError, match=r"\d"):
        Batch(LOG, after, last, tuple(map(row, rows)), tuple(absent(*one) for one in ranges))
