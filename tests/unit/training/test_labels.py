"""What labels say of predictions decides which of them are training rows; so does consent of whom they are about."""

import json

import pyarrow as pa
import pytest

from skerry_core.canonical import canonical_json
from skerry_operator.training.consent import Consents, LabelRecord, label_covered, row_covered
from tests.unit.features.sets import document, feature
from tests.unit.training.world import World, csv_rows

MODEL = ("--predictions", "vision/press-health")
DAYS = 24 * 3600
CONSENT = ("--consent", "training")


@pytest.fixture
def served(world):
    """Two predictions of one press; the first is what tests tell of."""
    world.event({"rms": 1.0})
    world.passes(1)
    ids = [world.serve("press-1"), world.serve("press-1")]
    world.passes(1)
    return ids


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "label", "why"),
    [
        ([], None, ""),
        ([{"value": 2}], [2.0], ""),
        ([{"value": 2}, {"value": 2}], [2.0], ""),
        ([{"value": 2}, {"value": 3}], None, "Conflict"),
        ([{"value": 2}, {"value": 3}, {"value": 3, "authority": 1}], [3.0], ""),
        ([{"value": 2, "training": False}], None, "NoConsent"),
        ([{"value": 2}, {"value": 2, "training": False}], None, "NoConsent"),
        ([{"values": [2, 3]}], None, "NotComparable"),
        ([{"value": 2, "after": 40 * DAYS}], None, "TooOld"),
        # An event that fits no column has its text alone: what it says of a prediction isn't passed over.
        ([{"value": 2}, {"value": "odd"}], None, "NotUnderstood"),
    ],
)
def test_a_prediction_whose_labels_are_of_no_use_is_no_row(world, served, said, label, why):
    for data in said:
        told = dict(data)
        world.passes(told.pop("after", 1))
        world.label(served[0], **{"value": told.pop("value", None), **told})
    world.ship()
    told, table = world.build(*MODEL)
    expected = [(served[1], None)] if why else [(served[0], label), (served[1], None)]
    assert list(zip(table["prediction_id"].to_pylist(), table["label"].to_pylist(), strict=True)) == expected
    left_out = {name: count for name, count in told["rowsLeftOut"].items() if count}
    assert left_out == ({f"label{why}": 1} if why else {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ((), ""),
        (("--min-authority", "1"), ""),
        (("--min-authority", "2"), "LowAuthority"),
        (("--max-label-age", "168h"), ""),
        (("--max-label-age", "1h"), "TooOld"),
    ],
)
def test_the_model_s_own_terms_of_labels(world, served, options, why):
    world.passes(2 * 3600)
    world.label(served[0], 2, authority=1)
    world.ship()
    told, table = world.build(*MODEL, *options)
    assert (served[0] in table["prediction_id"].to_pylist()) is (not why)
    assert {name for name, count in told["rowsLeftOut"].items() if count} == ({f"label{why}"} if why else set())


def test_an_age_that_is_none(world, served):
    done = world.run(*MODEL, "--no-consent-needed", "--max-label-age", "a week")
    assert done.exit_code == 2
    assert "--max-label-age" in done.output


def test_entity_rows_that_name_predictions_are_held_against_labels(world, served):
    unknown = served[0].rpartition("/")[0] + "/99"
    for about, values in ((served[0], (1, 2)), (unknown, (1,))):
        for value in values:
            world.label(about, value)
    world.ship()
    asked = [served[0], served[1], unknown, None, "none at all"]
    rows = world.rows_file([(world.clocks.wall, ("press-1",))] * 5, prediction_id=pa.array(asked), mine=list(range(5)))
    told, table = world.build("--rows", rows)
    assert table["mine"].to_pylist() == [1, 3, 4]
    assert "label" not in table.schema.names
    assert {name: count for name, count in told["rowsLeftOut"].items() if count} == {
        "labelConflict": 1,
        "labelUnknownPrediction": 1,
    }


def test_another_site_s_word_on_a_prediction_is_none(world, served, tmp_path, hub):
    other = World(tmp_path, hub, site="rome")
    other.label(served[0], 5)
    world.label(served[0], 2)
    other.ship()
    world.ship()
    _, table = world.build(*MODEL)
    assert table["label"].to_pylist() == [[2.0], None]
    other.close()


def test_parquet_files_cannot_tell_of_labels_so_rows_must_not_name_predictions(world, files, tmp_path):
    world.file.write_bytes(canonical_json(document([feature("count", "Count", None)])))
    header = ("press", "event_timestamp", "prediction_id")
    rows = csv_rows(tmp_path / "rows.csv", [("press-1", "2023-11-14T22:19:00Z", "a/b/c/1")], header)
    done = world.run("--rows", rows, "--no-consent-needed", history=str(files))
    assert done.exit_code == 1
    assert "prediction_id" in done.output


HERE, THERE = ("berlin", "node-1"), ("berlin", "node-2")
GRANTED = Consents({HERE: {"ann": 10}, THERE: {"bob": 10}}, {"berlin": frozenset({"ann", "bob", "eve"})})


@pytest.mark.parametrize(
    ("parts", "place", "hlc", "seen", "expected"),
    [
        (("ann",), 0, 11, False, True),
        (("ann",), 0, 10, True, False),
        (("zoe",), 0, 11, True, False),
        # The key is no subject: then its events decide, unless it names somebody of whom records tell.
        (("press-1",), None, 11, True, True),
        (("press-1",), None, 11, False, False),
        (("press-1", "eve"), None, 11, True, False),
        (("press-1", "ann"), None, 11, True, True),
        (("press-1", "ann"), None, 9, True, False),
    ],
)
def test_whose_rows_may_be_trained_on(parts, place, hlc, seen, expected):
    assert row_covered(GRANTED, HERE, parts, place, hlc, seen=seen) is expected


@pytest.mark.parametrize(
    ("parts", "place", "label", "expected"),
    [
        (("ann",), 0, LabelRecord(HERE, 11, "ann"), True),
        (("ann",), 0, LabelRecord(HERE, 11, None), True),
        (("ann",), 0, LabelRecord(HERE, 10, None), False),
        # Told at another node than the one that answered: either's record of consent will do.
        (("ann",), 0, LabelRecord(THERE, 11, "ann"), True),
        (("ann",), 0, LabelRecord(THERE, 11, "bob"), True),
        (("ann",), 0, LabelRecord(HERE, 11, "bob"), False),
        (("ann",), 0, LabelRecord(HERE, 11, "eve"), False),
        # Whom it is about can't be told, so it is about all that the key names.
        (("press-1",), None, LabelRecord(HERE, 11, None), False),
        (("press-1",), None, LabelRecord(HERE, 11, "ann"), True),
        (("press-1", "ann"), 1, LabelRecord(HERE, 11, None), True),
    ],
)
def test_whose_labels_may_be_trained_on(parts, place, label, expected):
    assert label_covered(GRANTED, HERE, parts, place, label) is expected


@pytest.mark.slow
@pytest.mark.parametrize(("subject", "rows"), [("press-1", 2), (None, 2), ("eve", 1), ("nobody", 1)])
def test_a_label_about_somebody_who_has_not_consented_takes_its_row_with_it(world, subject, rows):
    world.consent("press-1", "training")
    world.consent("eve", "training")
    world.passes(1)
    world.consent("eve", "training", withdrawn=True)
    world.event({"rms": 1.0})
    world.passes(1)
    ids = [world.serve("press-1"), world.serve("press-1")]
    world.passes(1)
    world.label(ids[0], 2, subject)
    world.passes(1)
    world.ship()
    told, table = world.build(*MODEL, consent=CONSENT)
    assert table["prediction_id"].to_pylist() == ids[2 - rows :]
    assert told["rowsLeftOut"]["noConsent"] == 2 - rows


def test_who_withdrew_is_in_no_row_under_another_key(world):
    """The set's key is a member of the data: events are the machine's, which consents, and tell of a wearer."""
    world.file.write_bytes(
        canonical_json(document([feature("count", "Count", None)], entities=[{"name": "press", "path": "data.state"}]))
    )
    for who in ("machine", "ann", "bob"):
        world.consent(who, "training")
    world.passes(1)
    world.consent("bob", "training", withdrawn=True)
    for who in ("ann", "bob", "zoe"):
        world.event({"state": who}, "machine")
    world.passes(1)
    world.ship()
    rows = world.rows_file([(world.clocks.wall, (who,)) for who in ("ann", "bob", "zoe")])
    told, table = world.build("--rows", rows, consent=CONSENT)
    assert table["press"].to_pylist() == ["ann", "zoe"]
    assert json.dumps(told["rowsLeftOut"]) == '{"noConsent": 1}'
