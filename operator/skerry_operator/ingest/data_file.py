"""Data files of a table, written to the store before a commit names them. Nothing reads one that no commit names."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skerry_core.store.port import Store
from skerry_operator.ingest.schema import PARTITION

_GROUP_ROWS = 1 << 17
# Nulls cost as much memory as values: of a table with all the columns that sites may bring, that many rows are 1 GiB.
_GROUP_CELLS = 1 << 23
# As many columns as deltalake itself keeps statistics of (`delta.dataSkippingNumIndexedCols`), so that a column has
# them in all files or in none: its reader for Arrow takes a file without for one whose values are null.
_COUNTED_COLUMNS = 32
_LONGEST_TEXT = 64
_LAST_CHARACTER = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file below the table's folder; `stats` as the Delta protocol's per-file statistics have it."""

    path: str
    size: int
    rows: int
    day: str
    stats: str


@dataclass(frozen=True, slots=True)
class _Extremes:
    """What is known of one column in a part of a file; least and greatest are None if all is null."""

    least: Any
    greatest: Any
    nulls: int


class DataFileWriter:
    """Collects rows of one day and writes them as one file.

    Beside the compressed bytes it holds at most one row group and what was added last.
    """

    def __init__(self, store: Store, folder: str, schema: pa.Schema, day: date) -> None:
        self._store = store
        self._folder = folder
        self._schema = schema
        self._day = day.isoformat()
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._buffer = BytesIO()
        self._writer: pq.ParquetWriter | None = None
        self._extremes: dict[str, list[_Extremes]] = {}
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        """Add rows of the schema."""
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        self._rows += table.num_rows
        if self._waiting_rows >= min(_GROUP_ROWS, _GROUP_CELLS // len(self._schema)):
            self._flush()

    def finish(self) -> DataFile | None:
        """Put the file into the store; None if there are no rows."""
        if not self._rows:
            return None
        self._flush()
        assert self._writer is not None
        self._writer.close()
        data = self._buffer.getvalue()
        path = f"{PARTITION}={self._day}/part-{uuid4()}.parquet"
        self._store.put(f"{self._folder}/{path}", data)
        return DataFile(path, len(data), self._rows, self._day, self._stats())

    def _flush(self) -> None:
        if not self._waiting_rows:
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._buffer, self._schema, compression="zstd")
        table = pa.concat_tables(self._waiting)
        self._writer.write_table(table, row_group_size=_GROUP_ROWS)
        for column in list(self._schema)[:_COUNTED_COLUMNS]:
            if not pa.types.is_nested(column.type):
                self._extremes.setdefault(column.name, []).append(_extremes(table[column.name]))
        self._waiting, self._waiting_rows = [], 0

    def _stats(self) -> str:
        least, greatest, nulls = {}, {}, {}
        for name, parts in self._extremes.items():
            nulls[name] = sum(part.nulls for part in parts)
            there = [part for part in parts if part.least is not None]
            if there:
                least[name] = _said(min(part.least for part in there))
                greatest[name] = _said(max(part.greatest for part in there), above=True)
        counts = {"numRecords": self._rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}
        return json.dumps(counts, ensure_ascii=False)


def _extremes(column: pa.ChunkedArray) -> _Extremes:
    ends = pc.min_max(column)
    return _Extremes(ends["min"].as_py(), ends["max"].as_py(), column.null_count)


def _said(value: Any, *, above: bool = False) -> Any:
    """A bound as JSON; a long text's is a shorter one that sorts before it, or behind it."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return value[:_LONGEST_TEXT] + (_LAST_CHARACTER if above else "")
    return value
