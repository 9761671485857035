"""SQL over a lake, in place: DuckDB reads the tables' files through Arrow, and nothing but them.

DuckDB's own reader of Delta tables is an extension that is fetched over the network; this needs none. A query's columns
and filters are pushed down: files and parts of files whose statistics exclude them are not read.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from pyarrow import fs

from skerry_core.errors import UserMustActError
from skerry_core.store.key_folder import KeyFolder
from skerry_operator.ingest.lake import Lake, delta_errors
from skerry_operator.ingest.rollup_functions import define
from skerry_operator.ingest.schema import ABSENT, GAPS, PARTITION, stream_schema
from skerry_operator.ingest.views import NO_EVENTS, VIEWS, View, table_name

# What files are left out by; the rest of a query's filter is held against Parquet's own statistics.
_BOUNDED = ("site", "node", "epoch", "seq", "hlc", "time", "received", "ingested")
_SIDE_TABLES = {"_absent": ABSENT, "_gaps": GAPS}


class LakeQuery:
    """A lake's tables as they are when this is made, and the ready views over them. Not for several threads."""

    def __init__(self, lake: Lake) -> None:
        """Open every table; raises what `Lake.open` does."""
        lake.trust_own_authority()
        self._spill = tempfile.mkdtemp(prefix="skerry-query-")
        self._connection = duckdb.connect(
            config={
                # What is asked may come from anybody: it reads the registered tables, no file, no network, no variable.
                "enable_external_access": "false",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
                "python_enable_replacements": "false",
                "temp_directory": self._spill,
            }
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        define(self._connection)
        self.schemas: dict[str, pa.Schema] = {}
        names = lake.names()
        for name in names:
            table = lake.open(name)
            if table is not None:
                opened = dataset(lake, name, table)
                self._connection.register(table_name(name), opened)
                if name not in _SIDE_TABLES:
                    self.schemas[name] = opened.schema
        for name, schema in _SIDE_TABLES.items():
            if name not in names:
                self._connection.register(name, schema.empty_table())
        self._connection.register(NO_EVENTS, stream_schema(()).insert(0, pa.field("stream", pa.string())).empty_table())
        tables = {name: frozenset(schema.names) for name, schema in self.schemas.items()}
        self.views: list[View] = []
        for view in VIEWS:
            sql = view.sql(tables)
            if sql is not None:
                self._connection.execute(f'CREATE VIEW "{view.name}" AS {sql}')
                self.views.append(view)
        self._connection.execute("SET lock_configuration = true")

    @property
    def streams(self) -> list[str]:
        """The names that the streams' tables have here."""
        return sorted(map(table_name, self.schemas))

    def run(self, sql: str) -> pa.RecordBatchReader:
        """Run a query; rows come as they are read. UserMustActError says what is wrong with it."""
        try:
            relation = self._connection.sql(sql)
            if relation is None:
                raise UserMustActError("QueryInvalid", "that is no question: give a SELECT")
            return relation.to_arrow_reader()
        except duckdb.Error as error:
            raise UserMustActError("QueryInvalid", str(error).strip()) from error

    def close(self) -> None:
        """Let go of everything."""
        self._connection.close()
        shutil.rmtree(self._spill, ignore_errors=True)


@contextmanager
def opened(lake: Lake) -> Iterator[LakeQuery]:
    """A lake to ask, closed afterwards."""
    query = LakeQuery(lake)
    try:
        yield query
    finally:
        query.close()


def dataset(lake: Lake, name: str, table: DeltaTable) -> ds.Dataset:
    """A table as an Arrow dataset, each file with what its statistics guarantee of it.

    Not deltalake's `to_pyarrow_dataset`: of a column without statistics it guarantees that it's equal to null, and
    every filter on that column loses the file's rows. Its file system, too, lives in Python and troubles a process's
    end.
    """
    with delta_errors(name):
        schema = pa.schema(table.schema().to_arrow())
        files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    file_system, parquet = _file_system(lake, name), ds.ParquetFileFormat()
    fragments = [parquet.make_fragment(file["path"], file_system, _guarantee(file, schema)) for file in files]
    return ds.FileSystemDataset(fragments, schema, parquet, file_system)


def _guarantee(file: Mapping[str, Any], schema: pa.Schema) -> ds.Expression:
    """What holds for every row of a file: its partition, and the bounds of columns without nulls."""
    known = ds.scalar(True)
    if PARTITION in schema.names:
        known = known & (ds.field(PARTITION) == pa.scalar(file[f"partition.{PARTITION}"], pa.date32()))
    for name in (name for name in _BOUNDED if name in schema.names):
        least, greatest = file.get(f"min.{name}"), file.get(f"max.{name}")
        if least is not None and greatest is not None and file.get(f"null_count.{name}") == 0:
            kind = schema.field(name).type
            known = known & (ds.field(name) >= pa.scalar(least, kind)) & (ds.field(name) <= pa.scalar(greatest, kind))
    return known


def _file_system(lake: Lake, name: str) -> fs.FileSystem:
    location = urlsplit(lake.table_uri(name))
    if lake.access is None:
        return fs.SubTreeFileSystem(unquote(location.path), fs.LocalFileSystem())
    endpoint = urlsplit(lake.access.endpoint)
    keys = None if lake.access.key_folder is None else KeyFolder(lake.access.key_folder).retrieve()
    ca = {} if lake.access.ca_file is None else {"tls_ca_file_path": str(lake.access.ca_file)}
    s3 = fs.S3FileSystem(
        access_key=keys.access_key if keys else lake.access.access_key,
        secret_key=keys.secret_key if keys else lake.access.secret_key,
        session_token=lake.access.session_token,
        region=lake.access.region,
        scheme=endpoint.scheme,
        endpoint_override=endpoint.netloc,
        **ca,
    )
    return fs.SubTreeFileSystem(f"{location.netloc}{location.path}", s3)
