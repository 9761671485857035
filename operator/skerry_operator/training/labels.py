"""What labels say of the predictions that rows are of: whether training may use it, and whose word it is.

The rule is the hub's views of labels (`skerry_operator.ingest.label_views`), which equals `skerry_core.labels`.
"""

# Names of tables and columns are fixed.
# ruff: noqa: S608

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from skerry_core.errors import UserMustActError
from skerry_core.labels.standing import Standing, Terms
from skerry_operator.ingest import label_views
from skerry_operator.ingest.schema import stream_schema
from skerry_operator.ingest.views import NO_EVENTS, table_name
from skerry_operator.training.consent import LabelRecord
from skerry_operator.training.history import Questions

PREDICTION_ID = "prediction_id"
LABEL = "label"
# A label that was set aside: what it says isn't known.
NOT_UNDERSTOOD = "NotUnderstood"
_ASKED = "_asked"
# A site has no say in what another's predictions were.
_OWN = f"site = split_part(prediction, '/', 1) AND prediction IN (SELECT id FROM {_ASKED})"


@dataclass(frozen=True)
class Labelled:
    """What is said of one prediction: `standing` is a Standing or NOT_UNDERSTOOD, `truth` one number a row or None."""

    standing: str
    truth: tuple[float, ...] | None = None
    records: Sequence[LabelRecord] = field(default_factory=tuple)

    @property
    def usable(self) -> bool:
        """Whether training may use it."""
        return self.standing == Standing.ELIGIBLE


def labels_of(questions: Questions, rows: pa.Table, terms: Terms) -> list[Labelled | None]:
    """What labels say of each row's prediction, by the Model's terms; None where there is no prediction or no label.

    UserMustActError LabelsUnknown if rows name predictions and the history is one that never has labels.
    """
    if PREDICTION_ID not in rows.schema.names:
        return [None] * rows.num_rows
    if not questions.has_all_streams:
        raise UserMustActError(
            "LabelsUnknown",
            f"rows name predictions ({PREDICTION_ID}), and Parquet files don't tell what labels say of them, nor "
            "whether training may use that: give the hub's store as the history, or leave the column out",
        )
    ids = rows[PREDICTION_ID].cast(pa.string())
    schema = questions.schema(label_views.LABELS)
    found = {} if schema is None else _labelled(questions, schema, ids, terms)
    return [found.get(each) for each in ids.to_pylist()]


def _labelled(questions: Questions, schema: pa.Schema, ids: pa.ChunkedArray, terms: Terms) -> Mapping[str, Labelled]:
    questions.give(_ASKED, pa.table({"id": ids}))
    questions.give(NO_EVENTS, stream_schema(()).empty_table())
    predictions = questions.schema(label_views.PREDICTIONS)
    columns = {label_views.LABELS: frozenset(schema.names)}
    if predictions is not None:
        columns[label_views.PREDICTIONS] = frozenset(predictions.names)
    found: dict[str, Labelled] = {}
    labels, merged = label_views.labels(columns), label_views.labelled_predictions(columns, terms)
    if labels is not None and merged is not None:
        questions.define(label_views.LABELS, labels)
        questions.define("labelled_predictions", merged)
        records = _records(questions)
        for row in questions.ask(
            f"SELECT prediction, standing, truth FROM labelled_predictions WHERE {_OWN}"
        ).to_pylist():
            truth = None if row["truth"] is None else tuple(row["truth"])
            found[row["prediction"]] = Labelled(row["standing"], truth, records.get(row["prediction"], ()))
    text = "CASE WHEN json_valid(body) THEN json_extract_string(body, '$.data.prediction') END"
    aside = f"SELECT site, {text} AS prediction FROM {table_name(label_views.LABELS)} WHERE set_aside IS NOT NULL"
    for row in questions.ask(f"SELECT prediction FROM ({aside}) WHERE {_OWN}").to_pylist():
        found[row["prediction"]] = Labelled(NOT_UNDERSTOOD)
    return found


def _records(questions: Questions) -> Mapping[str, list[LabelRecord]]:
    records: dict[str, list[LabelRecord]] = {}
    asked = f"SELECT prediction, site, node, hlc, subject FROM {label_views.LABELS} WHERE {_OWN} ORDER BY ALL"
    for row in questions.ask(asked).to_pylist():
        record = LabelRecord((row["site"], row["node"]), row["hlc"], row["subject"])
        records.setdefault(row["prediction"], []).append(record)
    return records
