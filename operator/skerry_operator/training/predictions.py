"""Rows out of the prediction log: whom each prediction was about, and what of the stream's log was in its features."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from skerry_core import digest as digests
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.entity_key import entity_key
from skerry_operator.ingest.schema import column_name
from skerry_operator.ingest.sql import literal, quoted
from skerry_operator.training.history import LogEnd, Questions
from skerry_operator.training.rows import TIMESTAMP, EntityRows

_TABLE = "predictions"
_NEEDED = ("namespace", "model", "version", "features")
_DIGEST_CHARACTERS = 12
_SCHEMA = (
    ("prediction_id", pa.string()),
    ("site", pa.string()),
    ("node", pa.string()),
    ("model", pa.string()),
    ("model_version", pa.string()),
    (TIMESTAMP, pa.timestamp("us", "UTC")),
)


@dataclass(frozen=True)
class Predicted:
    """Predictions as rows, as a table, and how many were passed over.

    That is, predictions by other versions of the set, those whose events the history doesn't have yet, and those where
    events of another node may have counted, whose snapshot was taken over.
    """

    table: pa.Table
    rows: EntityRows
    other_versions: int
    beyond_history: int
    another_nodes: int


def read_predictions(
    questions: Questions, document: FeatureSetDocument, digest: str, window: int, model: str, ends: tuple[LogEnd, ...]
) -> Predicted:
    """Predictions of a model (`NAMESPACE/NAME`) that the set filled an input of; `window` is its longest one, in µs.

    UserMustActError HistoryMissing if there are none to read.
    """
    schema = questions.schema(_TABLE)
    if schema is None or not set(_NEEDED) <= set(schema.names):
        raise UserMustActError("HistoryMissing", "the history has no predictions that features were filled in for")
    names = [entity.name for entity in document.entities]
    columns = [column_name(("entity", name)) for name in names]
    known = {(end.site, end.node, end.epoch): end.seq for end in ends}
    found: dict[str, list[Any]] = {name: [] for name, _ in _SCHEMA} | {name: [] for name in names}
    keys: list[bytes] = []
    epochs: list[str] = []
    seqs: list[int] = []
    others = beyond = foreign = 0
    for row in _rows(questions, schema, columns, model):
        lineage = _lineage(row["features"], document, digest)
        parts = [row[name] for name in columns]
        if lineage is None or None in parts:
            others += 1
            continue
        epoch, seq = lineage["epoch"], lineage["seq"]
        if lineage.get("adopted"):
            foreign += 1
            continue
        if seq > known.get((row["site"], row["node"], epoch), 0):
            beyond += 1
            continue
        keys.append(entity_key(parts))
        epochs.append(epoch)
        seqs.append(seq)
        found["prediction_id"].append(f"{row['site']}/{row['node']}/{row['epoch']}/{row['seq']}")
        found["site"].append(row["site"])
        found["node"].append(row["node"])
        found["model"].append(f"{row['namespace']}/{row['model']}")
        found["model_version"].append(row["version"])
        found[TIMESTAMP].append(lineage["since"] + window)
        for name, part in zip(names, parts, strict=True):
            found[name].append(part)
    kinds = dict(_SCHEMA)
    table = pa.table({name: pa.array(values, kinds.get(name, pa.string())) for name, values in found.items()})
    rows = EntityRows(
        keys,
        np.array(found[TIMESTAMP], np.int64),
        list(zip(found["site"], found["node"], strict=True)),
        epochs,
        np.array(seqs, np.int64),
    )
    return Predicted(table, rows, others, beyond, foreign)


def _rows(questions: Questions, schema: pa.Schema, columns: list[str], model: str) -> Iterator[Mapping[str, Any]]:
    namespace, _, name = model.rpartition("/")
    wanted = ["site", "node", "epoch", "seq", *_NEEDED]
    wanted += [quoted(each) if each in schema.names else f"NULL AS {quoted(each)}" for each in columns]
    where = f"namespace = {literal(namespace or 'default')} AND model = {literal(name)} AND features IS NOT NULL"
    order = "site, node, epoch, seq"
    for batch in questions.stream(f"SELECT {', '.join(wanted)} FROM {_TABLE} WHERE {where} ORDER BY {order}"):  # noqa: S608
        yield from batch.to_pylist()


def _lineage(text: str, document: FeatureSetDocument, digest: str) -> dict[str, Any] | None:
    """What a prediction says of this version of the set; None if that filled none of its inputs."""
    try:
        every = json.loads(text)
    except ValueError:
        return None
    wanted = (f"{document.namespace}/{document.name}", digests.hex_of(digest)[:_DIGEST_CHARACTERS])
    for each in every if isinstance(every, list) else ():
        if isinstance(each, dict) and (each.get("set"), each.get("digest")) == wanted:
            numbers = all(isinstance(each.get(name), int) for name in ("seq", "since"))
            return each if numbers and isinstance(each.get("epoch"), str) else None
    return None
