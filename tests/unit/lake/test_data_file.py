"""What a data file's writer holds while it collects rows."""

from datetime import date
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skerry_core.store.memory import MemoryStore
from skerry_operator.ingest.data_file import DataFileWriter
from skerry_operator.ingest.schema import MAX_COLUMNS, ColumnType, TableColumn, stream_schema

ROWS = 4_096


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "times", "groups"), [(MAX_COLUMNS, 4, 2), (8, 4, 1)])
def test_a_wide_tables_rows_are_written_before_they_fill_the_memory(columns, times, groups):
    schema = stream_schema([TableColumn(f"c{number}", ColumnType.DOUBLE) for number in range(columns)])
    store = MemoryStore()
    writer = DataFileWriter(store, "tables/t", schema, date(2030, 1, 1))
    rows = pa.table([pa.nulls(ROWS, field.type) for field in schema], schema)
    for _ in range(times):
        writer.add(rows)
    file = writer.finish()
    written = pq.ParquetFile(BytesIO(b"".join(store.get(f"tables/t/{file.path}"))))
    assert (file.rows, written.metadata.num_rows) == (times * ROWS, times * ROWS)
    assert written.metadata.num_row_groups == groups
