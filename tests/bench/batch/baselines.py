"""What others make of the same rows: typed Arrow and Parquet, each with the encodings that suit the types."""

import uuid

import pyarrow as pa
import pyarrow.parquet as pq

from skerry_core.batch.contents import Row

_LEVEL = 9  # of zstd, as ours


def table(rows: list[Row], documents: list[dict]) -> pa.Table:
    """Rows with their clocks as a table: ids as 16 bytes, times as timestamps, members of objects as columns."""
    records = [_typed(document) for document in documents]
    for row, record in zip(rows, records, strict=True):
        record |= {"seq": row.seq, "hlc": row.hlc, "received": row.received}
        record.setdefault("time", row.time)
    flat = pa.Table.from_pylist(records)
    for _ in range(2):
        flat = flat.flatten()
    return flat


def _typed(document: dict) -> dict:
    typed = dict(document)
    for name in ("id", "request"):
        if name in typed:
            typed[name] = uuid.UUID(typed[name]).bytes
    if "time" in typed:
        typed["time"] = pa.scalar(typed["time"]).cast(pa.timestamp("us", "UTC")).value
    return typed


def arrow_bytes(rows: pa.Table) -> int:
    """Size as an Arrow IPC stream with zstd, texts as dictionaries."""
    encoded = pa.table(
        {
            name: column.combine_chunks().dictionary_encode() if pa.types.is_string(column.type) else column
            for name, column in zip(rows.column_names, rows.columns, strict=True)
        }
    )
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", _LEVEL))
    with pa.ipc.new_stream(sink, encoded.schema, options=options) as writer:
        writer.write_table(encoded)
    return len(sink.getvalue())


def parquet_bytes(rows: pa.Table) -> int:
    """Size as Parquet with zstd: integers as deltas, doubles as byte planes, texts as dictionaries."""
    encodings, texts = {}, []
    for field in rows.schema:
        if pa.types.is_string(field.type):
            texts.append(field.name)
        elif pa.types.is_integer(field.type):
            encodings[field.name] = "DELTA_BINARY_PACKED"
        elif pa.types.is_floating(field.type) or pa.types.is_binary(field.type):
            encodings[field.name] = "BYTE_STREAM_SPLIT" if pa.types.is_floating(field.type) else "PLAIN"
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=_LEVEL,
        use_dictionary=texts,
        column_encoding=encodings,
        write_statistics=False,
    )
    return len(sink.getvalue())
