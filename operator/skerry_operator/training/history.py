"""The history of a stream: the hub's Delta tables, or Parquet files of the same columns. Read in order, never whole.

DuckDB sorts, and spills to a temporary folder what doesn't fit into memory.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from skerry_core.batch.contents import AbsentReason
from skerry_core.batch.flags import Flags
from skerry_core.errors import UserMustActError
from skerry_core.store.location import S3Access
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.query import dataset
from skerry_operator.ingest.sql import literal, moment, quoted
from skerry_operator.ingest.views import table_name
from skerry_operator.training.consent import CLASSES, NAMES, RELAY

TIMES = ("time", "received")
LOG = ("site", "node", "epoch", "seq")
BATCH_ROWS = 1 << 15


@dataclass(frozen=True)
class Tables:
    """Where tables are. Of a lake, as of pinned versions, so that all who read them see the same.

    `uri` is a store's (`s3://…`, `file:///…`), or empty; then `files` are Parquet files or folders by table's name.
    """

    uri: str = ""
    access: S3Access | None = None
    versions: tuple[tuple[str, int], ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_lake(cls, lake: Lake) -> "Tables":
        """A lake's tables as they are now."""
        lake.trust_own_authority()
        opened = ((name, lake.open(name)) for name in sorted(lake.names()))
        return cls(lake.uri, lake.access, tuple((name, table.version()) for name, table in opened if table is not None))

    @classmethod
    def of_files(cls, paths: Mapping[str, Path]) -> "Tables":
        """Tables of Parquet files by name: each path is one, or a folder of them."""
        return cls(files=tuple((name, str(path)) for name, path in sorted(paths.items())))

    def dataset(self, name: str) -> ds.Dataset | None:
        """One table; None if there is none. UserMustActError HistoryInvalid for files that can't be read."""
        if not self.uri:
            path = dict(self.files).get(name)
            return None if path is None else _files(path)
        version = dict(self.versions).get(name)
        if version is None:
            return None
        lake = Lake(self.uri, self.access)
        lake.trust_own_authority()
        table = lake.open(name, version)
        return None if table is None else dataset(lake, name, table)


def _files(path: str) -> ds.Dataset:
    if (Path(path) / "_delta_log").is_dir():
        raise UserMustActError(
            "HistoryInvalid", f"{path} is a Delta table, whose folder has files that are none of it: give the store"
        )
    try:
        found = ds.dataset(path, format="parquet")
        names = found.schema.names
    except (OSError, pa.ArrowInvalid) as error:
        raise UserMustActError("HistoryInvalid", f"{path} can't be read as Parquet: {error}") from error
    if not names:
        raise UserMustActError("HistoryInvalid", f"{path} holds no Parquet file")
    return found


class Questions:
    """Asks tables in SQL. Not for several threads."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._spill = tempfile.mkdtemp(prefix="skerry-history-")
        self._connection = duckdb.connect(config={"temp_directory": self._spill})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._schemas: dict[str, pa.Schema | None] = {}

    def schema(self, name: str) -> pa.Schema | None:
        """A table's columns; None if there is no such table."""
        if name not in self._schemas:
            found = self._tables.dataset(name)
            self._schemas[name] = None if found is None else found.schema
            if found is not None:
                self._connection.register(table_name(name), found)
        return self._schemas[name]

    @property
    def has_all_streams(self) -> bool:
        """Whether the history is a hub's: a stream without a table has had no record."""
        return bool(self._tables.uri)

    def give(self, name: str, table: pa.Table) -> None:
        """Have a table beside the history's."""
        self._connection.register(name, table)

    def define(self, name: str, sql: str) -> None:
        """Have a view."""
        self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {sql}")

    def ask(self, sql: str) -> pa.Table:
        """A small answer, whole."""
        return self._connection.sql(sql).to_arrow_table()

    def stream(self, sql: str) -> Iterator[pa.RecordBatch]:
        """A large answer, batch by batch."""
        yield from self._connection.sql(sql).to_arrow_reader(BATCH_ROWS)

    def close(self) -> None:
        """Let go of everything."""
        self._connection.close()
        shutil.rmtree(self._spill, ignore_errors=True)


@contextmanager
def opened(tables: Tables) -> Iterator[Questions]:
    """Tables to ask, closed afterwards."""
    questions = Questions(tables)
    try:
        yield questions
    finally:
        questions.close()


def history_schema(questions: Questions, stream: str) -> pa.Schema:
    """The columns of a stream's table. UserMustActError HistoryMissing, MissingColumn."""
    schema = questions.schema(stream)
    if schema is None:
        raise UserMustActError("HistoryMissing", f"the history has no table of the stream {stream}")
    for name in TIMES:
        if name not in schema.names:
            raise UserMustActError(
                "MissingColumn",
                f"the history of {stream} has no column {name}: `time` is when an event happened, `received` when the "
                "node took it in, which decides whether it could be served",
            )
        if not pa.types.is_timestamp(schema.field(name).type):
            raise UserMustActError("MissingColumn", f"the history's column {name} must hold timestamps")
    return schema


@dataclass(frozen=True)
class LogEnd:
    """How far a log's history goes: the last number that is accounted for, 0 where rows have none.

    `received` is when its newest row was, in µs since 1970.
    """

    site: str
    node: str
    epoch: str
    seq: int
    received: int


def log_ends(questions: Questions, stream: str, schema: pa.Schema) -> tuple[LogEnd, ...]:
    """Every log of a stream, in order; rows, and what sites say has no row."""
    columns = ", ".join(f"{_column(schema, name)} AS {name}" for name in LOG)
    parts = [f"SELECT {columns}, epoch_us(received) AS received FROM {quoted(table_name(stream))}"]  # noqa: S608 - names are quoted
    if questions.schema("_absent") is not None:
        parts.append(f"SELECT site, node, epoch, last, 0 FROM _absent WHERE stream = {literal(stream)}")  # noqa: S608
    union = " UNION ALL ".join(parts)
    found = questions.ask(
        "SELECT site, node, epoch, max(seq)::BIGINT AS seq, max(received)::BIGINT AS received "  # noqa: S608 - quoted
        f"FROM ({union}) GROUP BY ALL ORDER BY site, node, epoch"
    )
    return tuple(LogEnd(**row) for row in found.to_pylist())


def absences(questions: Questions, stream: str) -> dict[str, int]:
    """How many numbers of a stream's logs have no row, by reason: events that nodes had and the hub never got."""
    if questions.schema("_absent") is None:
        return {}
    found = questions.ask(
        f"SELECT reason, sum(last - first + 1)::BIGINT AS count FROM _absent "  # noqa: S608 - quoted
        f"WHERE stream = {literal(stream)} GROUP BY reason ORDER BY reason"
    )
    return {row["reason"]: row["count"] for row in found.to_pylist()}


def never_records(questions: Questions, stream: str) -> dict[tuple[str, str, str], tuple[tuple[int, int], ...]]:
    """By log (site, node, epoch) the numbers, both ends included, that its node never gave out."""
    if questions.schema("_absent") is None:
        return {}
    found = questions.ask(
        f"SELECT site, node, epoch, first, last FROM _absent "  # noqa: S608 - quoted
        f"WHERE stream = {literal(stream)} AND reason = {literal(AbsentReason.SKIPPED)} ORDER BY ALL"
    )
    ranges: dict[tuple[str, str, str], tuple[tuple[int, int], ...]] = {}
    for row in found.to_pylist():
        log = row["site"], row["node"], row["epoch"]
        ranges[log] = (*ranges.get(log, ()), (row["first"], row["last"]))
    return ranges


def consent_rows(questions: Questions, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Records of consent by site and node, each node's in the order of its logs, redacted ones too."""
    wanted = ("type", "subject", "set_aside", "body", CLASSES, RELAY)
    columns = [quoted(name) for name in schema.names if name in wanted or name.startswith(NAMES)]
    fixed = [f"{_column(schema, name)} AS {name}" for name in (*LOG, "hlc")]
    yield from questions.stream(
        f"SELECT {', '.join([*fixed, *columns])} FROM consent ORDER BY site, node, hlc, epoch, seq"  # noqa: S608 - quoted
    )


@dataclass(frozen=True)
class Stretch:
    """What to read of a stream: columns beside the fixed ones, of these nodes, received from `first` to `last` (µs).

    `by_log`: in the order of the logs; otherwise in that in which events were received.
    """

    stream: str
    columns: tuple[str, ...]
    nodes: Sequence[tuple[str, str]]
    first: int
    last: int
    by_log: bool


# Beyond as many nodes a query names none.
_NAMED_NODES = 500


def events(questions: Questions, schema: pa.Schema, stretch: Stretch) -> Iterator[pa.RecordBatch]:
    """Rows by site and node, each node's in order: site, node, epoch, seq, hlc, `_time`, `_received` and the columns.

    Redacted ones are left out: they say nothing any more.
    """
    fixed = [f"{_column(schema, name)} AS {name}" for name in (*LOG, "hlc")]
    fixed += [f"epoch_us({name}) AS _{name}" for name in TIMES]
    columns = [quoted(name) for name in stretch.columns if name not in {*LOG, "hlc"}]
    conditions = [f"_received BETWEEN {stretch.first} AND {stretch.last}"]
    if schema.field("received").type.tz is not None:
        # The same, so that files and parts of files are left out by their statistics.
        conditions.append(f"received BETWEEN {moment(stretch.first)} AND {moment(stretch.last)}")
    if "flags" in schema.names:
        conditions.append(f"(coalesce(flags, 0)::INTEGER & {Flags.REDACTED:d}) = 0")
    if {"site", "node"} <= set(schema.names) and len(stretch.nodes) <= _NAMED_NODES and ("", "") not in stretch.nodes:
        pairs = ", ".join(f"({literal(site)}, {literal(node)})" for site, node in stretch.nodes)
        conditions.append(f"(site, node) IN ({pairs})")
    order = "hlc, epoch, seq" if stretch.by_log else "_received, hlc, epoch, seq"
    yield from questions.stream(
        f"SELECT {', '.join([*fixed, *columns])} FROM {quoted(table_name(stretch.stream))} "  # noqa: S608 - quoted
        f"WHERE {' AND '.join(conditions)} ORDER BY site, node, {order}"
    )


def _column(schema: pa.Schema, name: str) -> str:
    """A column that tells logs apart, or what stands for it where files have none."""
    if name in schema.names:
        return f"coalesce({name}, '')" if name in {"site", "node", "epoch"} else f"coalesce({name}, 0)::BIGINT"
    if name == "hlc":
        return "(epoch_us(received) // 1000) * 65536"
    return "''" if name in {"site", "node", "epoch"} else "0::BIGINT"
