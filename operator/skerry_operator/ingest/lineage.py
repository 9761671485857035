"""Explains predictions from the hub's tables, once their site has synced: the records and events behind them in SQL."""

# Names of tables and columns are ours or match skerry_api's patterns, and all that comes from an id is quoted.
# ruff: noqa: S608

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import replace
from pydantic import ValidationError

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core.batch.flags import Flags
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, Manifest, TensorSpec
from skerry_core.errors import SkerryError, UserMustActError
from skerry_core.features.apply import RawEvents
from skerry_core.features.definition import MAX_DOCUMENT_BYTES, FeatureSetDocument
from skerry_core.lineage.causes import Cell
from skerry_core.lineage.explain import Found, Kept, Wanted, explain, wanted
from skerry_core.lineage.explanation import Explanation, Missing
from skerry_core.lineage.record import Prediction, RecordId, TensorRecord
from skerry_core.micros import micros_of
from skerry_core.store.blobs import read_blob
from skerry_operator.ingest.bodies import BodyPlan, column_of
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.query import LakeQuery
from skerry_operator.ingest.sql import literal, moment, quoted
from skerry_operator.ingest.tensors import own_name, parse_column, shared_name
from skerry_operator.ingest.views import table_name

# Events of one entity, in the windows of one prediction; there can be more only where a set is none for it.
_MAX_EVENTS = 100_000
_MAX_CELLS = 100_000
_MAX_RELEASES = 200

Row = dict[str, Any]


class PredictionNotFoundError(UserMustActError):
    """There is no such prediction in the tables, and why that can be."""

    def __init__(self, wanted: RecordId, why: str) -> None:
        super().__init__("PredictionNotFound", f"prediction {wanted} isn't in the hub's tables: {why}")


@dataclass(frozen=True)
class LakeLineage:
    """Looks up and explains; `query` is the lake as it was when that was opened."""

    lake: Lake
    query: LakeQuery

    def explain(self, text: str) -> Explanation:
        """Explain the prediction with this id.

        Raises PredictionNotFoundError, UserMustActError `IdInvalid`, and what the lake raises.
        """
        found = self._find(RecordId.parse(text))
        kept = {each.input: self._kept(found.id, each) for each in wanted(found)}
        return explain(found, kept, "hub")

    def _find(self, record_id: RecordId) -> Found:
        rows = self._rows(f"SELECT * FROM {PREDICTIONS} WHERE {_log(record_id)} AND seq = {record_id.seq}", PREDICTIONS)
        if not rows:
            raise PredictionNotFoundError(record_id, self._why(record_id))
        row = rows[0]
        if (row["flags"] or 0) & Flags.REDACTED:
            raise PredictionNotFoundError(record_id, "it was redacted")
        try:
            record = _prediction(row)
        except (ValueError, KeyError) as error:
            raise PredictionNotFoundError(record_id, f"its record can't be understood: {error}") from error
        manifest = _manifest(self.lake, record.digest)
        if manifest is not None:
            named = _picked if row["set_aside"] is not None else _named
            record = replace(
                record,
                inputs=named(record.inputs, manifest.inputs),
                outputs=named(record.outputs, manifest.outputs),
            )
        documents = {} if manifest is None else dict(self._documents(manifest))
        return Found(record_id, micros_of(row["time"]), record, manifest, documents)

    def _why(self, record_id: RecordId) -> str:
        """Why there is no row, as far as the tables tell."""
        told = f'{_log(record_id)} AND stream = \'{PREDICTIONS}\' AND {record_id.seq} BETWEEN "first" AND "last"'
        for row in self._rows(f"SELECT reason FROM _absent WHERE {told}"):
            return f"its site told that it never comes: {row['reason']}"
        for row in self._rows(f"SELECT state FROM gaps WHERE {told}"):
            return "it is missing and was asked for again" if row["state"] == "Open" else "it was lost on its way here"
        newest = self._newest(record_id, PREDICTIONS)
        if newest is None:
            return "nothing of that log has come yet: the node has not synced since, or the id is another fleet's"
        if newest < record_id.seq:
            return f"its site has not synced it yet: the newest of its log here is number {newest}"
        return "it was here and is past the time that tables are kept for"

    def _newest(self, record_id: RecordId, stream: str) -> int | None:
        here = f"SELECT max(seq) AS n FROM {_quoted(stream)} WHERE {_log(record_id)}"
        gone = f'SELECT max("last") AS n FROM _absent WHERE {_log(record_id)} AND stream = {literal(stream)}'
        found = [row["n"] for row in (*self._rows(here, stream), *self._rows(gone)) if row["n"] is not None]
        return max(found, default=None)

    def _documents(self, manifest: Manifest) -> Iterator[tuple[str, FeatureSetDocument]]:
        for digest in manifest.feature_set_digests():
            with suppress(SkerryError, ValidationError):
                data = read_blob(self.lake.store, digest, MAX_DOCUMENT_BYTES)
                yield digest, FeatureSetDocument.model_validate_json(data)

    # Events

    def _kept(self, record_id: RecordId, each: Wanted) -> Kept:
        log = RecordId(record_id.site, record_id.node, each.epoch, each.seq)
        within = (
            f"site = {literal(log.site)} AND node = {literal(log.node)} AND received >= {moment(each.span.start)} "
            f"AND ((epoch = {literal(log.epoch)} AND seq <= {log.seq}) "
            f"OR (epoch <> {literal(log.epoch)} AND received <= {moment(each.until)}))"
        )
        missing = list(self._missing(log, each, within))
        schema = self.query.schemas.get(each.stream)
        if schema is None:
            nothing = np.empty(0, np.int64)
            return Kept(RawEvents([], nothing, nothing), [], tuple(missing))
        bodies = BodyPlan.compile(each.paths, each.paths[: len(each.entity)], schema)
        # A row that is set aside has its text alone; the engine looks whom it is about.
        about = f"(set_aside IS NOT NULL OR ({_about(each, schema)}))"
        columns = ["epoch", "seq", *(f"epoch_us({name}) AS _{name}" for name in ("time", "received"))]
        found = self.query.run(
            f"SELECT {', '.join([*columns, *map(quoted, bodies.columns)])} FROM {_quoted(each.stream)} "
            f"WHERE {within} AND {about} AND coalesce(flags, 0) & {Flags.REDACTED:d} = 0 "
            f"ORDER BY received DESC, seq DESC LIMIT {_MAX_EVENTS + 1}"
        ).read_all()
        if found.num_rows > _MAX_EVENTS:
            missing.append(Missing(f"only the newest {_MAX_EVENTS} were looked at", 1))
            found = found.slice(0, _MAX_EVENTS)
        return Kept(
            RawEvents(
                [body for batch in found.to_batches() for body in bodies.bodies(batch)],
                found["_time"].to_numpy(),
                found["_received"].to_numpy(),
            ),
            list(zip(found["epoch"].to_pylist(), found["seq"].to_pylist(), strict=True)),
            tuple(missing),
        )

    def _missing(self, log: RecordId, each: Wanted, within: str) -> Iterator[Missing]:
        redacted = (
            f"SELECT count(*) AS n FROM {_quoted(each.stream)} WHERE {within} AND flags & {Flags.REDACTED:d} <> 0"
        )
        for row in self._rows(redacted, each.stream):
            if row["n"]:
                yield Missing("they were redacted", row["n"])
        before = (
            f"SELECT max(seq) AS n FROM {_quoted(each.stream)} WHERE {_log(log)} "
            f"AND received < {moment(each.span.start)} AND seq <= {log.seq}"
        )
        first = max((row["n"] or 0 for row in self._rows(before, each.stream)), default=0) + 1
        stretch = f'{_log(log)} AND stream = {literal(each.stream)} AND "last" >= {first} AND "first" <= {log.seq}'
        counted = f'sum(least("last", {log.seq}) - greatest("first", {first}) + 1)::BIGINT AS n'
        for row in self._rows(f"SELECT reason, {counted} FROM _absent WHERE {stretch} GROUP BY reason ORDER BY reason"):
            yield Missing(f"their site told that they never come: {row['reason']}", row["n"])
        for row in self._rows(f"SELECT state, {counted} FROM gaps WHERE {stretch} GROUP BY state ORDER BY state"):
            yield Missing("they got lost on their way here" if row["state"] == "Lost" else "they are late", row["n"])
        newest = self._newest(log, each.stream) or 0
        if newest < log.seq:
            yield Missing("they have not come here yet", log.seq - max(newest, first - 1))

    def _rows(self, sql: str, stream: str = "") -> list[Row]:
        if stream and stream not in self.query.schemas:
            return []
        rows: list[Row] = self.query.run(sql).read_all().to_pylist()
        return rows


def _manifest(lake: Lake, digest: str) -> Manifest | None:
    with suppress(SkerryError, ValidationError, ValueError):
        return Manifest.model_validate_json(read_blob(lake.store, digest, MAX_MANIFEST_BYTES))
    return None


def answer_cells(lake: Lake, query: LakeQuery, model: str, since: datetime) -> list[Cell]:
    """Answers of `[namespace/]model` since then, those alike together; UserMustActError `NoAnswers` if none.

    Of the releases with the most bad answers, _MAX_RELEASES at most, the store's manifests say how they were trained.
    """
    namespace, _, name = model.rpartition("/")
    of = f"model = {literal(name)}" + (f" AND namespace = {literal(namespace)}" if namespace else "")
    rows: list[Row] = []
    if any(view.name == "answers" for view in query.views):
        rows = (
            query.run(
                "SELECT release, site || '/' || node AS node, feature_sets, stale, damaged, count(*) AS answers, "
                f"count(*) FILTER (bad) AS bad FROM answers WHERE {of} AND time >= {moment(micros_of(since))} "
                f"GROUP BY ALL ORDER BY bad DESC, answers DESC LIMIT {_MAX_CELLS}"
            )
            .read_all()
            .to_pylist()
        )
    if not rows:
        raise UserMustActError(
            "NoAnswers", f"the tables have no prediction of {model} since {since:%Y-%m-%d %H:%M} UTC"
        )
    releases = list(dict.fromkeys(row["release"] for row in rows))[:_MAX_RELEASES]
    manifests = ((release, _manifest(lake, release)) for release in releases)
    rounds = {
        release: manifest.training.round.id
        for release, manifest in manifests
        if manifest is not None and manifest.training is not None
    }
    return [
        Cell(
            release=row["release"],
            node=row["node"],
            sets=row["feature_sets"],
            stale=row["stale"],
            damaged=row["damaged"],
            answers=row["answers"],
            bad=row["bad"],
            round=rounds.get(row["release"], ""),
        )
        for row in rows
    ]


def _prediction(row: Row) -> Prediction:
    """A record again, of its columns."""
    if row["set_aside"] is not None:
        return msgspec.json.decode(row["body"], type=Prediction)
    there = {name: _plain(value) for name, value in row.items() if value is not None}
    pair = {name.removeprefix("pair_"): value for name, value in there.items() if name.startswith("pair_")}
    record = {name: there[name] for name in Prediction.__struct_fields__ if name in there}
    record |= {name: json.loads(there[name]) for name in ("features", "given") if isinstance(there.get(name), str)}
    record["entity"] = {
        name.removeprefix("entity_"): str(value) for name, value in there.items() if name.startswith("entity_")
    }
    return msgspec.convert(record | ({"pair": pair} if pair else {}) | _tensors(there), Prediction)


def _tensors(there: Row) -> Row:
    """The record's `inputs` and `outputs`, by the names that columns have of the tensors'."""
    sides: dict[str, dict[str, Row]] = {}
    for column, value in there.items():
        if (found := parse_column(column)) is None:
            continue
        side, name, member = found
        told = json.loads(value) if member != "datatype" and isinstance(value, str) else value
        sides.setdefault(side, {}).setdefault(name, {})[member] = told
    return dict(sides)


def _picked(tensors: dict[str, TensorRecord], specs: Sequence[TensorSpec]) -> dict[str, TensorRecord]:
    """The manifest's tensors, in its order."""
    return {spec.name: tensors[spec.name] for spec in specs if spec.name in tensors}


def _named(tensors: dict[str, TensorRecord], specs: Sequence[TensorSpec]) -> dict[str, TensorRecord]:
    """The manifest's tensors, in its order, of those by the names that columns have of them.

    A shared name that may be two tensors' is told as none's.
    """
    shared = Counter(shared_name(spec.name) for spec in specs)
    found = {spec.name: tensors.get(own_name(spec.name)) for spec in specs}
    found |= {
        spec.name: tensors.get(name)
        for spec in specs
        if found[spec.name] is None and shared[name := shared_name(spec.name)] == 1
    }
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _about(each: Wanted, schema: pa.Schema) -> str:
    """SQL that excludes rows about others; the engine decides about the rest."""
    parts = []
    for path, part in zip(each.paths, each.entity, strict=False):
        name = column_of(path)
        if name not in schema.names:
            return "false"
        column = quoted(name)
        # A number is the same key as its decimal text.
        equal = f"TRY_CAST({column} AS VARCHAR) = {literal(part)}"
        if part.removeprefix("-").isascii() and part.removeprefix("-").isdecimal():
            equal += f" OR TRY_CAST({column} AS DOUBLE) = TRY_CAST({literal(part)} AS DOUBLE)"
        # In a column of JSON a text has its quotes.
        parts.append(f"({equal} OR TRY_CAST({column} AS VARCHAR) = {literal(json.dumps(part))})")
    return " AND ".join(parts) or "true"


def _plain(value: Any) -> Any:
    """Numbers are floats in the tables; one that is whole was written without a point, as a rule."""
    if isinstance(value, float) and value.is_integer() and not (value == 0 and math.copysign(1.0, value) < 0):
        return int(value)
    return value


def _log(record_id: RecordId) -> str:
    return (
        f"site = {literal(record_id.site)} AND node = {literal(record_id.node)} AND epoch = {literal(record_id.epoch)}"
    )


def _quoted(stream: str) -> str:
    return quoted(table_name(stream))
