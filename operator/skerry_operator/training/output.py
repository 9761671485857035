"""Training rows as a Parquet file: entity rows as they came, features beside them, and where these are from."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skerry_core.durable import replacing
from skerry_core.errors import UserMustActError
from skerry_core.features.columns import Mask
from skerry_core.features.plan import Plan
from skerry_operator.training.replay import Vectors
from skerry_operator.training.rows import Int64s

GROUP_ROWS = 1 << 16
DEFAULTED, REJECTED = "features_defaulted", "features_rejected"


def column_names(plan: Plan, names: Sequence[str], *, full: bool) -> list[str]:
    """What features are called in the file; in full with their set's name before, as Feast's `full_feature_names`."""
    return [f"{plan.document.name.replace('-', '_')}__{name}" if full else name for name in names]


def check_columns(table: pa.Table, columns: Sequence[str]) -> None:
    """UserMustActError RowsInvalid if entity rows have a column of such a name."""
    if clash := sorted(set(table.schema.names) & {*columns, DEFAULTED, REJECTED}):
        raise UserMustActError(
            "RowsInvalid", f"entity rows have columns of the features' names: {', '.join(clash)}; --full-feature-names"
        )


def write_rows(
    path: Path,
    table: pa.Table,
    kept: Int64s,
    plan: Plan,
    names: Sequence[str],
    columns: Sequence[str],
    found: Vectors,
    metadata: Mapping[str, str],
) -> None:
    """Write the rows that are kept, in the order in which they came; the old file stays until this one is whole.

    A feature is float64, or a list of them if it has several values; NaN where it is rejected and has no default.
    Raises OSError.
    """
    schema = table.schema.remove_metadata()
    kinds = [pa.float64() if plan.by_name[name].width == 1 else _vectors(plan.by_name[name].width) for name in names]
    for column, kind in zip(columns, kinds, strict=True):
        schema = schema.append(pa.field(column, kind, nullable=False))
    for column in (DEFAULTED, REJECTED):
        schema = schema.append(pa.field(column, pa.list_(pa.string()), nullable=False))
    schema = schema.with_metadata(dict(metadata))
    with replacing(path) as temporary, temporary.open("xb") as file:
        writer = pq.ParquetWriter(file, schema, compression="zstd")
        for start in range(0, len(kept), GROUP_ROWS):
            at = kept[start : start + GROUP_ROWS]
            given = table.take(pa.array(at)).combine_chunks()
            arrays = [given.column(name) for name in table.schema.names]
            place = 0
            for name, kind in zip(names, kinds, strict=True):
                values = found.values[at, place : place + plan.by_name[name].width]
                flat = pa.array(np.ascontiguousarray(values).reshape(-1))
                arrays.append(flat if kind == pa.float64() else pa.FixedSizeListArray.from_arrays(flat, type=kind))
                place += values.shape[1]
            arrays += [_named(columns, found.defaulted[at]), _named(columns, found.rejected[at])]
            writer.write_table(pa.table(arrays, schema=schema))
        writer.close()
        file.flush()
        os.fsync(file.fileno())


def _vectors(width: int) -> pa.DataType:
    return pa.list_(pa.field("element", pa.float64(), nullable=False), width)


def _named(columns: Sequence[str], flags: Mask) -> pa.Array:
    """Of each row the names whose flags are set."""
    offsets = np.concatenate(([0], np.cumsum(flags.sum(axis=1)))).astype(np.int32)
    names = pa.array(columns, pa.string()).take(pa.array(np.nonzero(flags)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), names)
