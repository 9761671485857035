"""A build of training rows: what is asked for, who may be in it, the work in shares, the file."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from skerry_api.v1alpha1.syncpolicy import CONSENT
from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.features.columns import Mask
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.entity_key import entity_parts
from skerry_core.features.plan import Plan, compile_set
from skerry_core.features.vector import width
from skerry_core.labels.standing import Terms
from skerry_operator.training.bodies import body_plan
from skerry_operator.training.consent import (
    Accounted,
    Consents,
    fold,
    label_covered,
    read_records,
    row_covered,
)
from skerry_operator.training.history import (
    LogEnd,
    Questions,
    Tables,
    absences,
    consent_rows,
    history_schema,
    log_ends,
    never_records,
    opened,
)
from skerry_operator.training.labels import LABEL, Labelled, labels_of
from skerry_operator.training.output import check_columns, column_names, write_rows
from skerry_operator.training.predictions import read_predictions
from skerry_operator.training.provenance import Provenance
from skerry_operator.training.replay import Vectors, reach
from skerry_operator.training.rows import EntityRows, entity_rows, read_rows
from skerry_operator.training.work import Share, shares

# Of one share: their states are in memory together.
_ENTITIES = 100_000
_LOGICAL_BITS = 16

Doers = Callable[[Sequence[Share]], Iterable[Vectors]]
"""Does shares of the work, here or elsewhere; results in the shares' order."""


@dataclass(frozen=True)
class Order:
    """What to build: features `select` (all, if empty) for the rows of a file, or for a model's predictions.

    `consent` names data classes that all must be granted; None: nobody's consent is needed. `terms` are the Model's for
    labels.
    """

    document: FeatureSetDocument
    tables: Tables
    output: Path
    rows: Path | None = None
    predictions: str = ""
    select: tuple[str, ...] = ()
    full_names: bool = False
    consent: frozenset[str] | None = None
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True)
class _Asked:
    table: pa.Table
    rows: EntityRows
    ends: tuple[LogEnd, ...]
    absent: dict[str, int]
    consents: Consents | None
    passed_over: dict[str, int]
    labels: Sequence[Labelled | None]

    def usable(self) -> "_Asked":
        """Without the rows whose predictions have labels that training may not use; those are counted by why."""
        why = Counter(f"label{each.standing}" for each in self.labels if each is not None and not each.usable)
        at = np.array([n for n, each in enumerate(self.labels) if each is None or each.usable], np.int64)
        return replace(
            self,
            table=self.table.take(pa.array(at)),
            rows=self.rows.part(at),
            labels=[self.labels[place] for place in at.tolist()],
            passed_over={**self.passed_over, **dict(sorted(why.items()))},
        )


def build(order: Order, do: Doers, at_once: int) -> dict[str, Any]:
    """Build the file with `at_once` shares done at once; what came of it, for people and programs.

    Raises UserMustActError for what is wrong with the order, the stores' errors, and OSError.
    """
    document, plan = order.document, compile_set(order.document)
    data = canonical_json(document)
    names = _selected(plan, order.select)
    columns = column_names(plan, names, full=order.full_names)
    with opened(order.tables) as questions:
        asked = _asked(order, questions, digests.of_bytes(data), plan).usable()
    check_columns(asked.table, columns)
    rows = asked.rows
    span = _span(plan, rows)
    count = max(at_once, -(-len(set(rows.keys)) // _ENTITIES))
    parts = shares(rows, count)
    work = [Share(order.tables, data, names, rows.part(part), asked.consents, *span) for part in parts]
    found = Vectors.empty(plan, names, len(rows))
    for part, done in zip(parts, do(work), strict=True):
        found.put(part, done)
    kept = np.flatnonzero(found.kept & _consenting(document, asked, found))
    named = {"namespace": document.namespace, "name": document.name, "version": document.version}
    told = named | {"digest": digests.of_bytes(data)}
    consent = None if order.consent is None else sorted(order.consent)
    provenance = Provenance(told, names, _position(document, order.tables, asked), consent)
    write_rows(order.output, asked.table, kept, plan, names, columns, found, provenance.metadata())
    newest = {(end.site, end.node): end.received for end in sorted(asked.ends, key=lambda end: end.received)}
    return {
        "featureSet": told,
        "output": str(order.output),
        "rows": len(kept),
        "columns": width(plan, names),
        "rowsLeftOut": {"noConsent": len(rows) - len(kept), **asked.passed_over},
        "rowsAfterHistory": sum(
            time > newest.get(node, 0) for time, node in zip(rows.times.tolist(), rows.nodes, strict=True)
        ),
        "events": {
            "read": found.counts.events,
            "late": found.counts.late,
            "refused": found.counts.refused,
            "noConsent": found.counts.without_consent,
        },
        "eventsNotInHistory": asked.absent,
    }


def _selected(plan: Plan, select: Sequence[str]) -> tuple[str, ...]:
    names = tuple(select) or tuple(feature.name for feature in plan.document.features)
    if unknown := [name for name in names if name not in plan.by_name]:
        named = f"{plan.document.namespace}/{plan.document.name} {plan.document.version}"
        raise UserMustActError("FeatureUnknown", f"{named} has no feature {', '.join(unknown)}")
    if len(set(names)) < len(names):
        raise UserMustActError("FeatureUnknown", "a feature is selected twice")
    return names


def _asked(order: Order, questions: Questions, digest: str, plan: Plan) -> _Asked:
    document = order.document
    schema = history_schema(questions, document.stream)
    body_plan(document, schema)
    ends = log_ends(questions, document.stream, schema)
    absent = absences(questions, document.stream)
    consents = None if order.consent is None else _consents(questions, order.consent)
    if order.rows is None:
        longest = max(feature.size for feature in plan.features)
        found = read_predictions(questions, document, digest, longest, order.predictions, ends)
        labels = labels_of(questions, found.table, order.terms)
        truths = [None if each is None else each.truth for each in labels]
        table = found.table.append_column(LABEL, pa.array(truths, pa.list_(pa.float64())))
        passed = {
            "otherVersion": found.other_versions,
            "notYetInHistory": found.beyond_history,
            "anotherNodesEvents": found.another_nodes,
        }
        return _Asked(table, found.rows, ends, absent, consents, passed, labels)
    table = read_rows(order.rows, document)
    rows = entity_rows(table, document, sorted({(end.site, end.node) for end in ends}))
    return _Asked(table, rows, ends, absent, consents, {}, labels_of(questions, table, order.terms))


def _consents(questions: Questions, classes: frozenset[str]) -> Consents:
    """Who consents by now; without records nobody does."""
    schema = questions.schema(CONSENT)
    if schema is None:
        return Consents()
    never = never_records(questions, CONSENT)
    logs = {
        (end.site, end.node, end.epoch): Accounted(never.get((end.site, end.node, end.epoch), ()), end.seq)
        for end in log_ends(questions, CONSENT, schema)
    }
    return fold(read_records(_dicts(consent_rows(questions, schema)), logs), classes)


def _dicts(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _span(plan: Plan, rows: EntityRows) -> tuple[int, int]:
    """When the events were received that any row needs. A row as of a log's number needs what came until then."""
    if not len(rows):
        return 0, -1
    last = int(rows.times.max()) if rows.epochs is None else (1 << 62)
    return int(rows.times.min()) - reach(plan), last


def _consenting(document: FeatureSetDocument, asked: _Asked, found: Vectors) -> Mask:
    """Rows of whom, and with labels about whom, training may use what is known of them."""
    rows, consents = asked.rows, asked.consents
    if consents is None:
        return np.ones(len(rows), np.bool_)
    place = next((place for place, entity in enumerate(document.entities) if entity.path == "subject"), None)
    times = ((rows.times // 1000) << _LOGICAL_BITS).tolist()
    covered = np.zeros(len(rows), np.bool_)
    for row, (node, key, time, seen, labelled) in enumerate(
        zip(rows.nodes, rows.keys, times, found.seen.tolist(), asked.labels, strict=True)
    ):
        parts, records = entity_parts(key), () if labelled is None else labelled.records
        covered[row] = row_covered(consents, node, parts, place, time, seen=seen) and all(
            label_covered(consents, node, parts, place, record) for record in records
        )
    return covered


def _position(document: FeatureSetDocument, tables: Tables, asked: _Asked) -> dict[str, Any]:
    """How far the history went that the rows were built of."""
    nodes = set(asked.rows.nodes)
    return {
        "stream": document.stream,
        "tables": dict(tables.versions),
        "logs": [vars(end) for end in asked.ends if (end.site, end.node) in nodes],
        "absent": asked.absent,
    }
