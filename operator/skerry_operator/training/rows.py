"""Entity rows: whom training rows are about, and when. What Feast calls an entity dataframe."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.entity_key import entity_key

TIMESTAMP = "event_timestamp"
MISSING_NODE = ""

Node = tuple[str, str]
Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class EntityRows:
    """n rows: `keys` as the engine has them, `times` in µs since 1970, `nodes` whose log is asked.

    A row with an epoch is as of number `seqs` of that log, instead of as of its time.
    """

    keys: Sequence[bytes]
    times: Int64s
    nodes: Sequence[Node]
    epochs: Sequence[str] | None = None
    seqs: Int64s | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, at: Int64s) -> "EntityRows":
        """Some of the rows."""
        places = at.tolist()
        return EntityRows(
            [self.keys[place] for place in places],
            self.times[at],
            [self.nodes[place] for place in places],
            None if self.epochs is None else [self.epochs[place] for place in places],
            None if self.seqs is None else self.seqs[at],
        )


def read_rows(path: Path, document: FeatureSetDocument) -> pa.Table:
    """A Parquet or CSV file, with its time as µs in UTC; UserMustActError RowsInvalid, MissingColumn."""
    try:
        if path.suffix.lower() == ".csv":
            texts = {entity.name: pa.string() for entity in document.entities} | {
                "site": pa.string(),
                "node": pa.string(),
            }
            table = pyarrow.csv.read_csv(
                path,
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=texts, strings_can_be_null=True, quoted_strings_can_be_null=False
                ),
            )
        else:
            table = pq.read_table(path)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise UserMustActError("RowsInvalid", f"{path} can't be read: {error}") from error
    missing = [
        name for name in (*(each.name for each in document.entities), TIMESTAMP) if name not in table.schema.names
    ]
    if missing:
        raise UserMustActError(
            "MissingColumn",
            f"{path} has no column {', '.join(missing)}: entity rows have a column for each entity of "
            f"{document.namespace}/{document.name}, and {TIMESTAMP}",
        )
    return table.set_column(table.schema.get_field_index(TIMESTAMP), TIMESTAMP, _moments(table[TIMESTAMP], path))


def _moments(column: pa.ChunkedArray, path: Path) -> pa.ChunkedArray:
    """Times without a zone are UTC, as Feast takes them; finer ones than µs are cut off."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _read_texts(column, path)
    elif pa.types.is_date(kind):
        column = column.cast(pa.timestamp("us"))
    elif not pa.types.is_timestamp(kind):
        raise UserMustActError("RowsInvalid", f"{path}: {TIMESTAMP} holds {kind}, and must hold timestamps")
    if column.null_count:
        raise UserMustActError("RowsInvalid", f"{path}: {TIMESTAMP} is empty in {column.null_count} rows")
    return pc.cast(column, pa.timestamp("us", "UTC"), safe=False)


def _read_texts(column: pa.ChunkedArray, path: Path) -> pa.ChunkedArray:
    try:
        return column.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        pass
    try:
        return column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid as error:
        raise UserMustActError("RowsInvalid", f"{path}: {TIMESTAMP} isn't a time: {error}") from error


def entity_rows(table: pa.Table, document: FeatureSetDocument, nodes: Sequence[Node]) -> EntityRows:
    """What is asked of a history that has the logs of these nodes; UserMustActError RowsInvalid, RowsAmbiguous."""
    names = [entity.name for entity in document.entities]
    columns = [_parts(table[name], name) for name in names]
    keys: dict[tuple[str | int | None, ...], bytes] = {}
    found = []
    for row, parts in enumerate(zip(*columns, strict=True)):
        key = keys.get(parts)
        if key is None:
            try:
                key = keys[parts] = entity_key(parts)
            except ValueError as error:
                raise UserMustActError("RowsInvalid", f"row {row + 1} names no entity ({error}): {parts}") from error
        found.append(key)
    times = np.asarray(table[TIMESTAMP].cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False), np.int64)
    return EntityRows(found, times, _nodes(table, nodes))


def _parts(column: pa.ChunkedArray, name: str) -> list[str | int | None]:
    """Texts and integers; pandas makes floats of integers where some are missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        try:
            column = column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise UserMustActError("RowsInvalid", f"{name} must hold texts or integers: {error}") from error
    if not (
        pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_integer(column.type)
    ):
        raise UserMustActError("RowsInvalid", f"{name} holds {column.type}, and must hold texts or integers")
    values: list[str | int | None] = column.to_pylist()
    return values


def _nodes(table: pa.Table, nodes: Sequence[Node]) -> list[Node]:
    """Each row's node; rows that don't say it are of the only one that there is."""
    known = set(nodes)
    given = [
        table[name].cast(pa.string()).to_pylist() if name in table.schema.names else [None] * table.num_rows
        for name in ("site", "node")
    ]
    resolved: dict[tuple[str | None, str | None], Node] = {}
    found = []
    for site, node in zip(*given, strict=True):
        if (site, node) not in resolved:
            resolved[site, node] = _node(site, node, known)
        found.append(resolved[site, node])
    return found


def _node(site: str | None, node: str | None, known: set[Node]) -> Node:
    if site is not None and node is not None:
        return site, node
    fit = [each for each in known if site in {None, each[0]} and node in {None, each[1]}]
    if len(fit) > 1:
        where = "" if site is None else f" of site {site}"
        raise UserMustActError(
            "RowsAmbiguous",
            f"the history has events of {len(fit)} nodes{where}, and each served what its own log held: give rows the "
            "columns site and node",
        )
    return fit[0] if fit else (site or MISSING_NODE, node or MISSING_NODE)
