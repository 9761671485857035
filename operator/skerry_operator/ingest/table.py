"""One Delta table as ingest writes it. This and `lake` are the only modules that call deltalake to write.

deltalake rebases a commit that lost a race onto the winner's, and takes a repeated application id without a word: both
would double rows. A commit here is therefore made against one snapshot, with no retries: it fails if anything at all
was committed since, and whoever made it starts again from what is there then.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import ArrayType, PrimitiveType
from deltalake.transaction import AddAction

from skerry_core.batch.contents import LogName
from skerry_core.errors import RetryError
from skerry_operator.ingest.data_file import DataFile
from skerry_operator.ingest.lake import Lake, delta_errors
from skerry_operator.ingest.ledger import Ledger, from_transactions, to_transactions
from skerry_operator.ingest.schema import (
    ABSENT,
    ATTRIBUTES,
    GAPS,
    IDENTITY,
    JSON_MARK,
    PARTITION,
    ColumnType,
    TableColumn,
)
from skerry_operator.ingest.transactions import Transactions, read_transactions, version_at

_NUMBERS = ArrayType(PrimitiveType("double"))
_DELTA: dict[ColumnType, PrimitiveType | ArrayType] = {
    ColumnType.BOOLEAN: PrimitiveType("boolean"),
    ColumnType.DOUBLE: PrimitiveType("double"),
    ColumnType.LONG: PrimitiveType("long"),
    ColumnType.TEXT: PrimitiveType("string"),
    ColumnType.NUMBERS: _NUMBERS,
    ColumnType.JSON: PrimitiveType("string"),
}
_PLAIN = {
    "boolean": ColumnType.BOOLEAN,
    "double": ColumnType.DOUBLE,
    "long": ColumnType.LONG,
    "string": ColumnType.TEXT,
}
_NONE = Ledger()


class CommitConflictError(RetryError):
    """Somebody else committed in between."""

    def __init__(self, table: str) -> None:
        super().__init__("CommitConflict", f"{table}: another commit came first; start again from the new state")


@dataclass(frozen=True)
class Snapshot:
    """A table as it was at one version; the one that a commit is made against."""

    table: DeltaTable
    version: int
    ledgers: Mapping[LogName, Ledger]
    columns: tuple[TableColumn, ...]


class LakeTable:
    """A table by name, made when it's first needed with the columns of `fixed`.

    `fixed` with the partition's column `day` makes a stream's table, which bodies bring columns to.
    """

    def __init__(self, lake: Lake, name: str, fixed: pa.Schema, log_retention: timedelta) -> None:
        self.name = name
        self.folder = lake.folder(name)
        self._lake = lake
        self._fixed = fixed
        self._partition = [PARTITION] if PARTITION in fixed.names else []
        self._log_retention = log_retention
        self._known: Transactions | None = None
        self._id = ""

    def snapshot(self) -> Snapshot:
        """Read the table as it is now, making it if there is none."""
        table = self._lake.open(self.name) or self._create()
        return self._snapshot(table)

    def ledgers_at(self, moment: datetime) -> Mapping[LogName, Ledger]:
        """The ledgers as they were then; none if there was no table, or there is none."""
        table = self._lake.open(self.name)
        if table is None:
            return {}
        store = self._lake.store
        version = version_at(store, self.folder, table.version(), moment)
        return from_transactions(read_transactions(store, self.folder, version).by_id) if version >= 0 else {}

    def add_columns(self, snapshot: Snapshot, columns: Sequence[TableColumn]) -> Snapshot:
        """Add columns and return the table as it is then; CommitConflictError if it isn't any more as in `snapshot`."""
        with delta_errors(self.name):
            try:
                snapshot.table.alter.add_columns(
                    [_field(column) for column in columns], commit_properties=_unrepeated()
                )
            except CommitFailedError as error:
                raise CommitConflictError(self.name) from error
        after = self.snapshot()
        if after.version != snapshot.version + 1:
            raise CommitConflictError(self.name)
        return after

    def commit(self, snapshot: Snapshot, files: Sequence[DataFile], ledgers: Mapping[LogName, Ledger]) -> None:
        """Add files and set the ledgers of these logs, at once; CommitConflictError if anything came in between.

        After any error it isn't known whether the commit was made: read the table again.
        """
        changes: dict[str, int] = {}
        for log, ledger in ledgers.items():
            changes |= to_transactions(log, ledger, snapshot.ledgers.get(log, _NONE))
        if not changes and not files:
            return
        known = self._known
        self._known = None
        with delta_errors(self.name):
            try:
                snapshot.table.create_write_transaction(
                    [self._action(file) for file in files],
                    "append",
                    snapshot.table.schema(),
                    self._partition,
                    commit_properties=_unrepeated(changes),
                )
            except CommitFailedError as error:
                raise CommitConflictError(self.name) from error
        if known is not None and known.version == snapshot.version:
            self._known = Transactions(snapshot.version + 1, known.by_id | changes)

    def append(self, rows: pa.Table) -> None:
        """Add rows that it does no harm to have twice."""
        with delta_errors(self.name):
            write_deltalake(self._lake.open(self.name) or self._create(), rows, mode="append")

    def _snapshot(self, table: DeltaTable) -> Snapshot:
        version = table.version()
        identity = str(table.metadata().id)
        if identity != self._id:
            self._known, self._id = None, identity
        self._known = read_transactions(self._lake.store, self.folder, version, self._known)
        return Snapshot(table, version, from_transactions(self._known.by_id), _columns(table, self._fixed))

    def _create(self) -> DeltaTable:
        uri = self._lake.table_uri(self.name)
        self._lake.announce(self.name)
        with delta_errors(self.name):
            try:
                return DeltaTable.create(
                    uri,
                    self._fixed,
                    partition_by=self._partition,
                    storage_options=self._lake.options(),
                    configuration={
                        "delta.checkpointInterval": "20",
                        "delta.logRetentionDuration": f"interval {round(self._log_retention.total_seconds())} seconds",
                    },
                )
            except DeltaError as error:
                # Another ingester may have made it meanwhile.
                table = self._lake.open(self.name)
                if table is None:
                    raise
                del error
                return table

    def _action(self, file: DataFile) -> AddAction:
        partition: dict[str, str | None] = {PARTITION: file.day} if self._partition else {}
        return AddAction(file.path, file.size, partition, round(time.time() * 1000), True, file.stats)


def absent_table(lake: Lake, log_retention: timedelta) -> LakeTable:
    """The table of what sites say has no row, of all streams."""
    return LakeTable(lake, "_absent", ABSENT.append(pa.field(PARTITION, pa.date32())), log_retention)


def gaps_table(lake: Lake, log_retention: timedelta) -> LakeTable:
    """The record of gaps, of all streams."""
    return LakeTable(lake, "_gaps", GAPS, log_retention)


def stream_table(lake: Lake, stream: str, log_retention: timedelta) -> LakeTable:
    """The table of a stream."""
    attributes = [pa.field(each.name, each.type.arrow) for each in ATTRIBUTES]
    fixed = pa.schema([*IDENTITY, *attributes, pa.field(PARTITION, pa.date32())])
    return LakeTable(lake, stream, fixed, log_retention)


def _unrepeated(changes: Mapping[str, int] | None = None) -> CommitProperties:
    return CommitProperties(
        max_commit_retries=0, app_transactions=[Transaction(name, version) for name, version in (changes or {}).items()]
    )


def _field(column: TableColumn) -> Field:
    metadata = {JSON_MARK: "true"} if column.type is ColumnType.JSON else {}
    return Field(column.name, _DELTA[column.type], nullable=True, metadata=metadata)


def _columns(table: DeltaTable, fixed: pa.Schema) -> tuple[TableColumn, ...]:
    """The columns that bodies brought; those of other people's making, of other types, are passed over."""
    fields: list[dict[str, Any]] = json.loads(table.schema().to_json())["fields"]
    return tuple(
        TableColumn(field["name"], column_type)
        for field in fields
        if field["name"] not in fixed.names and (column_type := _type_of(field)) is not None
    )


def _type_of(field: Mapping[str, Any]) -> ColumnType | None:
    if isinstance(field["type"], dict):
        numbers = field["type"].get("type") == "array" and field["type"].get("elementType") == "double"
        return ColumnType.NUMBERS if numbers else None
    if field["type"] == "string" and field["metadata"].get(JSON_MARK):
        return ColumnType.JSON
    return _PLAIN.get(field["type"])
