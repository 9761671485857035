"""What the engine is given of a log: everything that is still there, in order, and by the second in which it came."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.flags import Flags
from skerry_edge.events.block import columns_of, encode_block, parse_block
from skerry_edge.events.record import NewRecord
from skerry_edge.events.rows import Rows
from skerry_edge.features.batches import runs

SECOND = 1_000_000
STEPS = st.sampled_from(
    [0, 1, SECOND // 2, SECOND, SECOND + 1, 3600 * SECOND, -1, -SECOND, -SECOND - 1, -3600 * SECOND]
)
RECORDS = st.tuples(STEPS, st.binary(max_size=3), st.sampled_from([Flags.NONE, Flags.TIME_SKEWED, Flags.REDACTED]))
COMMITS = st.lists(st.tuples(st.integers(0, 2), st.lists(RECORDS, min_size=1, max_size=5)), min_size=1, max_size=6)


def commit(first, records):
    data = encode_block(0, first, range(len(records)), Rows.of(records))
    block = parse_block(memoryview(data), 0, 0, 0)
    return columns_of(block)


@given(COMMITS, st.integers(0, 4))
def test_runs_hold_everything_and_no_more_than_a_second(commits, skipped):
    seq, received, batches, records = 1, 10**15, [], {}
    for hole, steps in commits:
        seq += hole
        made = []
        for step, body, flags in steps:
            received += step
            made.append(NewRecord(body, received - 5, received, flags))
        records |= dict(enumerate(made, start=seq))
        batches.append(commit(seq, made))
        seq += len(made)
    # A read may begin inside of a commit.
    begin = min(skipped, len(batches[0]) - 1)
    batches[0] = batches[0].part(begin, len(batches[0]))
    numbers = list(records)[begin:]
    found = list(runs(batches))

    kept = [number for number in numbers if not records[number].flags & Flags.REDACTED]
    assert [number for run in found for number in run.seqs] == kept
    assert [body for run in found for body in run.events.bodies] == [records[number].body for number in kept]
    for column in ("time", "received"):
        values = [value for run in found for value in getattr(run.events, column).tolist()]
        assert values == [getattr(records[number], column) for number in kept]

    seconds = [(records[number].received // SECOND, number) for number in numbers]
    last = [number for (second, number), (after, _) in pairwise(seconds) if second != after]
    assert [run.last for run in found] == [*last, numbers[-1]]
    assert all(run.seqs[-1] <= run.last for run in found if run.seqs)
