"""What deltalake does by itself, and what ingest makes of it: why commits are conditional, and ids no safety."""

from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.ledger import Ledger, Span
from skerry_operator.ingest.schema import ColumnType, TableColumn
from skerry_operator.ingest.table import CommitConflictError, stream_table
from skerry_operator.ingest.transactions import read_transactions, version_at
from tests.unit.lake.batches import SiteLog

LOG = SiteLog().name
ROW = pa.table({"seq": [1]})


def with_id(version, **other):
    return CommitProperties(app_transactions=[Transaction("log", version)], **other)


@pytest.fixture
def plain(tmp_path):
    return str(tmp_path / "plain")


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path.as_uri())


@pytest.fixture
def table(lake):
    return stream_table(lake, "predictions", timedelta(days=2))


@pytest.mark.parametrize("version", [7, 3])
def test_deltalake_takes_a_repeated_and_a_lower_transaction_id(plain, version):
    write_deltalake(plain, ROW, commit_properties=with_id(7))
    write_deltalake(DeltaTable(plain), ROW, mode="append", commit_properties=with_id(version))
    assert DeltaTable(plain).to_pyarrow_dataset().count_rows() == 2


def test_deltalake_rebases_a_stale_append_unless_told_not_to(plain):
    write_deltalake(plain, ROW)
    stale, rebased = DeltaTable(plain), DeltaTable(plain)
    write_deltalake(DeltaTable(plain), ROW, mode="append")
    with pytest.raises(CommitFailedError):
        write_deltalake(stale, ROW, mode="append", commit_properties=CommitProperties(max_commit_retries=0))
    write_deltalake(rebased, ROW, mode="append")
    assert DeltaTable(plain).to_pyarrow_dataset().count_rows() == 3


def test_deltalake_takes_no_column_that_differs_in_case_alone(table):
    both = [TableColumn("x", ColumnType.DOUBLE), TableColumn("X", ColumnType.DOUBLE)]
    with pytest.raises(Exception, match="case-insensitive"):  # it is of no class of deltalake's
        table.add_columns(table.snapshot(), both)


def test_duckdb_takes_names_as_equal_that_differ_in_case():
    with duckdb.connect() as connection:
        assert connection.sql('SELECT "X" FROM (SELECT 1 AS x)').fetchall() == [(1,)]


def test_a_commit_fails_if_anything_came_in_between(table):
    first, second = table.snapshot(), table.snapshot()
    table.commit(first, [], {LOG: Ledger(5)})
    other = SiteLog(site="rome").name
    with pytest.raises(CommitConflictError):
        table.commit(second, [], {other: Ledger(5)})
    with pytest.raises(CommitConflictError):
        table.add_columns(second, [TableColumn("x", ColumnType.DOUBLE)])
    assert table.snapshot().ledgers == {LOG: Ledger(5)}


def test_a_commit_fails_if_a_column_came_in_between(table):
    first, second = table.snapshot(), table.snapshot()
    table.add_columns(first, [TableColumn("x", ColumnType.DOUBLE)])
    with pytest.raises(CommitConflictError):
        table.commit(second, [], {LOG: Ledger(5)})


def test_columns_come_back_with_their_types(table):
    columns = tuple(TableColumn(f"c_{kind}", kind) for kind in ColumnType)
    assert table.add_columns(table.snapshot(), columns).columns == columns
    assert table.snapshot().columns == columns


@pytest.mark.slow
@pytest.mark.parametrize("commits", [3, 49, 50, 51, 120])
def test_ledgers_are_read_over_checkpoints(lake, table, commits):
    for seq in range(1, commits + 1):
        table.commit(table.snapshot(), [], {LOG: Ledger(seq, (Span(seq + 5, seq + 6),))})
    anew = stream_table(lake, "predictions", timedelta(days=2)).snapshot()
    assert anew.ledgers == table.snapshot().ledgers == {LOG: Ledger(commits, (Span(commits + 5, commits + 6),))}
    assert anew.table.transaction_version("berlin/node-1/predictions/e1") == commits


@pytest.mark.slow
def test_commits_that_were_cleaned_up_are_not_needed(lake, table):
    for seq in range(1, 71):
        table.commit(table.snapshot(), [], {LOG: Ledger(seq)})
    for version in range(40):
        lake.store.delete(f"{table.folder}/_delta_log/{version:020d}.json")
    assert stream_table(lake, "predictions", timedelta(days=2)).snapshot().ledgers == {LOG: Ledger(70)}
    found = read_transactions(lake.store, table.folder, 70)
    assert (found.version, found.by_id) == (70, {"berlin/node-1/predictions/e1": 70})


def test_a_version_is_found_by_its_time(lake, table):
    moments = []
    for seq in range(1, 6):
        table.commit(table.snapshot(), [], {LOG: Ledger(seq)})
        moments.append(table.snapshot().table.history(1)[0]["timestamp"])
    for version, at in enumerate(moments, start=1):
        moment = datetime.fromtimestamp(at / 1000, UTC)
        found = version_at(lake.store, table.folder, 5, moment)
        assert found >= version
        assert moments[found - 1] == at
    assert version_at(lake.store, table.folder, 5, datetime(2020, 1, 1, tzinfo=UTC)) == -1
    assert table.ledgers_at(datetime(2020, 1, 1, tzinfo=UTC)) == {}


def test_a_table_that_was_made_anew_is_not_taken_for_the_old_one(lake, table):
    table.commit(table.snapshot(), [], {LOG: Ledger(5)})
    for info in list(lake.store.list("tables/")):
        lake.store.delete(info.key)
    other = stream_table(lake, "predictions", timedelta(days=2))
    other.commit(other.snapshot(), [], {LOG: Ledger(3)})
    assert table.snapshot().ledgers == {LOG: Ledger(3)}
