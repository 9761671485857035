"""What exactly-once rests on, on each real store: of racing commits one wins, and a query reads what was committed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from skerry_operator.ingest.conditional import check_conditional_put
from skerry_operator.ingest.ledger import Ledger
from skerry_operator.ingest.query import opened
from skerry_operator.ingest.schema import ColumnType, TableColumn
from skerry_operator.ingest.table import CommitConflictError, stream_table
from tests.integration.lake.feed import Feed
from tests.integration.lake.test_kills import one_pass
from tests.unit.lake.batches import SiteLog

LOG = SiteLog().name


@pytest.fixture
def table(place):
    return stream_table(place.lake, "predictions", timedelta(days=2))


def test_the_store_refuses_a_second_write(place):
    check_conditional_put(place.lake)
    check_conditional_put(place.lake)


def test_a_commit_fails_if_anything_came_in_between(table):
    first, second = table.snapshot(), table.snapshot()
    table.commit(first, [], {LOG: Ledger(5)})
    with pytest.raises(CommitConflictError):
        table.commit(second, [], {SiteLog(site="rome").name: Ledger(5)})
    with pytest.raises(CommitConflictError):
        table.add_columns(second, [TableColumn("x", ColumnType.DOUBLE)])
    assert table.snapshot().ledgers == {LOG: Ledger(5)}


def test_of_many_commits_at_the_same_moment_one_wins(place, table):
    table.snapshot()
    with ThreadPoolExecutor(8) as pool:
        for turn in range(1, 16):
            tables = [stream_table(place.lake, "predictions", timedelta(days=2)) for _ in range(8)]
            snapshots = list(pool.map(lambda each: each.snapshot(), tables))

            def commit(number, tables=tables, snapshots=snapshots, turn=turn):
                try:
                    tables[number].commit(snapshots[number], [], {LOG: Ledger(turn * 100 + number)})
                except CommitConflictError:
                    return None
                return number

            winners = [number for number in pool.map(commit, range(8)) if number is not None]
            assert len(winners) == 1
            assert table.snapshot().ledgers == {LOG: Ledger(turn * 100 + winners[0])}
            assert table.snapshot().version == turn


def test_a_query_reads_what_was_committed(place):
    feed = Feed(place.lake, events=50)
    for log in feed.logs:
        log.upload(place.lake.store, 0, 50)
    assert one_pass(place) == 0
    with opened(place.lake) as query:
        rows = query.run(
            "SELECT site, node, count(*) AS events FROM predictions WHERE seq > 40 GROUP BY ALL ORDER BY ALL"
        )
        assert rows.read_all().to_pylist() == [
            {"site": log.site, "node": log.node, "events": 10 - sum(seq > 40 for seq in log.absent)}
            for log in feed.logs
        ]
        assert len(query.run("SELECT * FROM logs").read_all()) == 4
