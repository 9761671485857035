"""A stream's table: the columns that every event has, and those that its own bodies bring.

A member of a body is the column of its path, joined by `_`: `{"data": {"oil": {"bar": 4}}}` is `data_oil_bar`. A row
that doesn't fit the columns' types stays in the table with its identity, the reason in `set_aside` and its text in
`body` (the "rescued data" of other lakes), so that each event is in one table, once, in one commit.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

MAX_COLUMNS = 1000
_MAX_NAME = 120
# Of a path: more than its name takes, as what doesn't fit a name is one `_` however long.
_MAX_READ = 4096
_UNFIT = re.compile(r"\W+")


class ColumnType(StrEnum):
    """What a column holds. Numbers are floats where that loses nothing, because `21` and `21.5` are one sensor's."""

    BOOLEAN = "boolean"
    DOUBLE = "double"
    LONG = "long"
    TEXT = "text"
    NUMBERS = "numbers"
    JSON = "json"

    @property
    def arrow(self) -> pa.DataType:
        """The same in Arrow."""
        return _ARROW[self]


_ARROW = {
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.LONG: pa.int64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.NUMBERS: pa.list_(pa.float64()),
    ColumnType.JSON: pa.string(),
}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column that bodies brought."""

    name: str
    type: ColumnType


_MOMENT = pa.timestamp("us", tz="UTC")
# Attributes of CloudEvents; filled from bodies as any other column is.
ATTRIBUTES = tuple(TableColumn(name, ColumnType.TEXT) for name in ("type", "source", "subject", "id"))
PARTITION = "day"
# Metadata of a field whose texts are JSON.
JSON_MARK = "skerry.json"
# What a row is, whatever its body says. `day` is that of `ingested`.
IDENTITY = pa.schema(
    [
        pa.field("site", pa.string()),
        pa.field("node", pa.string()),
        pa.field("epoch", pa.string()),
        pa.field("seq", pa.int64()),
        pa.field("hlc", pa.int64()),
        pa.field("time", _MOMENT),
        pa.field("received", _MOMENT),
        pa.field("ingested", _MOMENT),
        pa.field("flags", pa.int32()),
        pa.field("set_aside", pa.string()),
        pa.field("body", pa.string()),
    ]
)
_RESERVED = {*IDENTITY.names, PARTITION, "stream"}

ABSENT = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("site", "node", "stream", "epoch")),
        pa.field("first", pa.int64()),
        pa.field("last", pa.int64()),
        pa.field("reason", pa.string()),
        pa.field("ingested", _MOMENT),
    ]
)
GAPS = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("site", "node", "stream", "epoch")),
        pa.field("first", pa.int64()),
        pa.field("last", pa.int64()),
        pa.field("state", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("noted", _MOMENT),
    ]
)


def stream_schema(columns: Iterable[TableColumn]) -> pa.Schema:
    """The schema of a stream's data files: all but the partition's column, which their folder names."""
    return pa.schema([*IDENTITY, *(pa.field(each.name, each.type.arrow) for each in (*ATTRIBUTES, *columns))])


def column_name(path: tuple[str, ...]) -> str:
    """The column of a body's member. Delta and SQL take names as equal that differ in case: so do we."""
    # Cut first: a site may send a name of megabytes, with a thousand members below it.
    told = "_".join(part[:_MAX_READ] for part in path)[:_MAX_READ]
    name = _UNFIT.sub("_", told).lower()[:_MAX_NAME] or "_"
    return f"body_{name}" if name in _RESERVED else name
