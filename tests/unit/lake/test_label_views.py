"""The lake's view of late feedback says what `skerry_core.labels` says of the same labels."""

import json
import random

import pytest

from skerry_api.v1alpha1.model import LabelError
from skerry_core.batch.contents import Batch, Row
from skerry_core.evidence.window import MICROS
from skerry_core.labels.feedback import label, merge_all
from skerry_core.labels.standing import MAX_AGE, Predicted, Terms, age, error, standing
from skerry_operator.ingest.label_views import labelled_predictions
from skerry_operator.ingest.query import opened
from tests.unit.lake.batches import START, SiteLog

A, B = "sha256:a", "sha256:b"
DAYS = int(MAX_AGE.total_seconds()) * MICROS
AFTER = (-120 * MICROS, -MICROS, *[0, MICROS] * 4, DAYS // 2 + MICROS, DAYS, DAYS + MICROS)
MISSING, SKEWED, SUSPECT = 1, 2, 4


def upload(hub, log, rows):
    log.upload(hub.store, 0, len(rows), Batch(log.name, 0, len(rows), tuple(rows)))


def row(seq, body, *, time=START, received=START, flags=0, set_back=0):
    return Row(seq, ((received + set_back) // 1000) << 16, time, received, flags, json.dumps(body).encode())


def prediction(decided, beside=None, **more):
    variant = "champion" if beside is None else "challenger"
    body = {
        "namespace": "team",
        "model": "har",
        "version": "1.0.0",
        "digest": B,
        "variant": variant,
        "decided": decided,
    }
    pair = {} if beside is None else {"pair": {"champion": A, "challenger": B, "rows": 1, "decided": beside}}
    return {**body, **pair, **more}


def said(about, **data):
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"prediction": about, **data}}


def told(views):
    """What the view says, by prediction, in the words of the rule."""
    return {
        each["prediction"]: (
            each["standing"],
            None if each["age_s"] is None else round(each["age_s"] * MICROS),
            each["truth"],
            each["wrong"],
            each["distance"],
            each["champion_wrong"],
        )
        for each in views
    }


def by_the_rule(predictions, labels, terms):
    found = {}
    for about, feedback in labels.items():
        together, predicted = merge_all(feedback), predictions.get(about)
        truth = together.truth

        def wrong(kind, decided, truth=truth):
            if truth is None or decided is None or len(decided) != len(truth):
                return None
            return error(kind, truth, decided) / MICROS

        lapse = None if predicted is None else age(together, predicted)
        decided, beside = (None, None) if predicted is None else (predicted.decided, predicted.champion_decided)
        found[about] = (
            standing(together, predicted, terms).value,
            lapse,
            None if truth is None else list(truth),
            wrong(LabelError.MISMATCH, decided),
            wrong(LabelError.ABSOLUTE, decided),
            wrong(LabelError.MISMATCH, beside),
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_view_is_the_rule(hub, ask, seed):
    """Random labels for random predictions of two nodes; the label's node is never the prediction's."""
    pick = random.Random(seed)
    predictions, labels, rows = {}, {}, []
    for node in ("node-1", "node-2"):
        log = SiteLog(node=node)
        logged = []
        for seq in range(1, 31):
            decided = pick.choice([[1.0], [2.5], [0.0], [1.0, 2.0], None])
            beside = pick.choice([None, [1.0], [2.0, 2.0]]) if decided is not None else None
            set_back = pick.choice([*[0] * 6, 3600 * MICROS])
            body = prediction(decided, beside)
            body = {name: value for name, value in body.items() if value is not None}
            logged.append(row(seq, body, set_back=set_back))
            predictions[f"berlin/{node}/e1/{seq}"] = Predicted(
                None if set_back else START,
                "team",
                "har",
                B,
                body["variant"],
                None if decided is None else tuple(decided),
                "" if beside is None else A,
                None if beside is None else tuple(beside),
            )
        upload(hub, log, logged)
    abouts = [*predictions, "berlin/node-1/e1/31", "berlin/node-9/e1/1", "berlin/node-1/e2/1", "rome/node-1/e1/1"]
    for seq in range(1, 150):
        about = pick.choice(abouts)
        values = pick.choice([*[[1.0]] * 4, [2.5], [0.0], [-0.0], [1.0, 2.0]])
        given = {"value": values[0]} if len(values) == 1 else {"values": values}
        authority, training = pick.choice([0, 0, 0, 1, 2]), pick.choice([True, True, True, False])
        more = ({"authority": authority} if authority else {}) | ({} if training else {"training": False})
        flags, after = pick.choice([0, 0, 0, 0, MISSING, SKEWED, SUSPECT]), pick.choice(AFTER)
        received = START + 3 * MICROS
        rows.append(row(seq, said(about, **given, **more), time=START + after, received=received, flags=flags))
        known = None if flags == SUSPECT else received if flags else START + after
        labels.setdefault(about, []).append(label(values, known, authority, training=training))
    upload(hub, SiteLog(node="node-3", stream="labels"), rows)
    hub.run()
    found = told(ask("SELECT * FROM labelled_predictions"))
    assert found == by_the_rule(predictions, labels, Terms())
    asked = Terms(max_age=MAX_AGE / 2, min_authority=pick.choice([1, 2]))
    with opened(hub.lake) as query:
        tables = {name: frozenset(schema.names) for name, schema in query.schemas.items()}
        rows = query.run(labelled_predictions(tables, asked)).read_all().to_pylist()
    assert told(rows) == by_the_rule(predictions, labels, asked)
    assert "LowAuthority" in {each["standing"] for each in rows}
    assert {standing for standing, *_ in found.values()} >= {"Eligible", "Conflict", "UnknownPrediction", "NoConsent"}


def test_accuracy_of_both_on_the_same_rows(hub, ask):
    upload(hub, SiteLog(), [row(seq, prediction([1.0], [2.0])) for seq in range(1, 5)])
    values = (1, 1, 1, 2)
    rows = [row(seq, said(f"berlin/node-1/e1/{seq}", value=value)) for seq, value in enumerate(values, start=1)]
    upload(hub, SiteLog(stream="labels"), rows)
    hub.run()
    (found,) = ask("SELECT * FROM accuracy")
    assert (found["rows"], found["accuracy"], found["eligible"]) == (4, 0.75, 4)
    assert (found["paired_rows"], found["paired_error"], found["champion_error"]) == (4, 0.25, 0.75)


def test_labels_without_any_prediction_are_there_all_the_same(hub, ask):
    upload(hub, SiteLog(stream="labels"), [row(1, said("berlin/node-1/e1/1", value=3))])
    hub.run()
    (found,) = ask("SELECT prediction, truth, authority, training FROM labels")
    assert found == {"prediction": "berlin/node-1/e1/1", "truth": [3.0], "authority": 0, "training": True}
    assert [each["standing"] for each in ask("SELECT standing FROM labelled_predictions")] == ["UnknownPrediction"]
    assert ask("SELECT * FROM accuracy") == []


def test_another_site_s_predictions_are_not_labelled(hub, ask):
    upload(hub, SiteLog(site="rome"), [row(1, prediction([1.0]))])
    upload(hub, SiteLog(stream="labels"), [row(1, said("rome/node-1/e1/1", value=1))])
    hub.run()
    assert [each["standing"] for each in ask("SELECT standing FROM labelled_predictions")] == ["UnknownPrediction"]
