"""The hub explains what its node explained, from real Delta tables; and says why it can't."""

import json
import sys

import msgspec
import pytest
from typer.testing import CliRunner

from skerry_core import digest as digests
from skerry_core.batch.codec import encode
from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName, Row
from skerry_core.batch.key import batch_key, upload_mark
from skerry_core.bundle.manifest import DataType, TensorSpec
from skerry_core.canonical import canonical_json
from skerry_core.lineage.explain import explain, wanted
from skerry_core.lineage.record import PairRecord, RecordId, TensorRecord
from skerry_core.store.blobs import put_bytes
from skerry_operator.cli.main import app
from skerry_operator.ingest.lineage import LakeLineage, PredictionNotFoundError
from skerry_operator.ingest.query import opened
from skerry_operator.ingest.tensors import own_name
from tests.unit.features.sets import body, document, event, feature
from tests.unit.lineage import cases
from tests.unit.lineage.cases import EPOCH, ID, NOW, SET, ago, found, kept, recorded, released

EVENTS = [
    event({"rms": 9.0}, ago(1500)),
    event({"rms": 1.0}, ago(700)),
    event({"rms": 2.5, "cycles": 7, "v": [1.0, -0.0, 2.0], "open": True}, ago(400)),
    event({"rms": -0.0, "state": "run's"}, ago(350)),
    event({"rms": 6.0}, ago(300)),
    event({"rms": 8.0}, ago(290), subject="press-2"),
    event({"rms": "no"}, ago(280)),
    event({"rms": 7.0}, ago(1000), ago(250)),  # too late
    event({}, ago(240)),
]
PREDICTIONS = LogName("berlin", "node-1", "predictions", ID.epoch)
VIBRATION = LogName("berlin", "node-1", "vibration", EPOCH)


def upload(hub, log, after, rows, absent=(), last=None):
    end = last or max([after, *(row.seq for row in rows), *(each.last for each in absent)])
    encoded = encode(Batch(log, after, end, tuple(rows), tuple(absent)))
    hub.store.put(f"sites/{log.site}/{batch_key(log, after, end, encoded.format, upload_mark())}", encoded.data)


def stored(events, first=1, flags=0):
    return [
        Row(seq, seq, time, received, flags, text) for seq, (text, time, received) in enumerate(events, start=first)
    ]


def told(events=EVENTS, entity="press-1", **changes):
    record, _ = recorded(events, entity)
    return msgspec.structs.replace(record, **changes)


def published(hub, record, seq=ID.seq, manifest=None):
    """The record as its site syncs it, with its release and set in the store."""
    digest = put_bytes(hub.store, canonical_json(manifest or released())).digest
    put_bytes(hub.store, canonical_json(SET))
    record = msgspec.structs.replace(record, digest=digest)
    absent = [Absent(1, seq - 2, AbsentReason.SAMPLED), Absent(seq - 1, seq - 1, AbsentReason.EXPIRED)]
    upload(hub, PREDICTIONS, 0, [Row(seq, seq, NOW, NOW, 0, msgspec.json.encode(record))], absent)
    return record


def explained(hub, record_id=ID):
    hub.run()
    with opened(hub.lake) as query:
        return LakeLineage(hub.lake, query).explain(str(record_id))


def locally(record, events=EVENTS, **changes):
    of = found(record)
    return explain(of, {each.input: kept(events, **changes) for each in wanted(of)}, "hub")


@pytest.mark.slow
@pytest.mark.parametrize("entity", ["press-1", "press-2", "press-9"])
def test_as_the_node_told(hub, entity):
    record = published(hub, told(entity=entity))
    upload(hub, VIBRATION, 0, stored(EVENTS))
    assert explained(hub) == locally(record)


def test_of_a_canary_and_what_a_client_gave(hub):
    pair = PairRecord("sha256:" + "1" * 64, "sha256:" + "2" * 64, 0.5, 1.0, 4, 1, "Timeout")
    record = published(hub, told(pair=pair, given=("x", "y")))
    upload(hub, VIBRATION, 0, stored(EVENTS))
    explanation = explained(hub)
    assert explanation == locally(record)
    assert (explanation.pair.disagreements, explanation.given) == (1, ("x", "y"))


def test_the_preprocessing_is_a_column_beside_records_without_it(hub):
    record = published(hub, told(preprocessing_version="2.1.0"))
    upload(hub, PREDICTIONS, 7, [Row(8, 8, NOW, NOW, 0, msgspec.json.encode(told(features=())))])
    upload(hub, VIBRATION, 0, stored(EVENTS))
    explanation = explained(hub)
    assert explanation == locally(record)
    assert explanation.preprocessing_version == "2.1.0"
    assert explained(hub, RecordId(ID.site, ID.node, ID.epoch, 8)).preprocessing_version == ""
    with opened(hub.lake) as query:
        column = query.run("SELECT preprocessing_version FROM predictions ORDER BY seq").read_all()
    assert column["preprocessing_version"].to_pylist() == ["2.1.0", None]


def test_with_inputs_and_outputs(hub):
    specs = [
        TensorSpec(name=name, datatype=DataType.FP32, shape=(-1,)) for name in ("Input.1", "time", "a_data", "flag")
    ]
    inputs = {
        "Input.1": TensorRecord("FP32", (1, 3), (0.5, -0.0, 2.0)),
        "time": TensorRecord("INT64", (1,), (2**62 + 1,)),
        "a_data": TensorRecord("FP32", (2,), (None, 1.5)),
    }
    flags = {"flag": TensorRecord("BOOL", (2,), (True, False))}
    manifest = released().model_copy(update={"inputs": tuple(specs)})
    record = published(hub, told(inputs=inputs | flags, outputs=inputs, payload="x"), manifest=manifest)
    upload(hub, VIBRATION, 0, stored(EVENTS))
    payload = explained(hub).payload
    assert payload.inputs == record.inputs
    assert payload.outputs == {}  # none of the manifest's


@pytest.mark.slow
def test_models_that_call_tensors_alike_share_a_table(hub):
    tensors = [
        TensorRecord("FP32", (1, 2), (0.5, 2.0)),
        TensorRecord("BOOL", (2,), (True, False)),
        TensorRecord("FP32", (2,)),  # its data dropped by a rule
        TensorRecord("INT64", (1,), (2**62 + 1,)),
        TensorRecord("FP32", (), (1.5,)),
        TensorRecord("FP32", (None, 2), (None, "a hash")),
        TensorRecord("FP32", (0, 2), ()),
    ]
    digest = put_bytes(hub.store, canonical_json(released())).digest
    bodies = [msgspec.json.encode(told(digest=digest, features=(), inputs={"x": each})) for each in tensors]
    upload(hub, PREDICTIONS, 0, [Row(seq, seq, NOW, NOW, 0, body) for seq, body in enumerate(bodies[:1], 1)])
    hub.run()
    upload(hub, PREDICTIONS, 1, [Row(seq, seq, NOW, NOW, 0, body) for seq, body in enumerate(bodies[1:], 2)])
    hub.run()
    with opened(hub.lake) as query:
        aside = query.run("SELECT count(set_aside) AS n FROM predictions").read_all()["n"].to_pylist()
    assert aside == [0]
    for seq, tensor in enumerate(tensors, 1):
        assert explained(hub, RecordId(ID.site, ID.node, ID.epoch, seq)).payload.inputs == {"x": tensor}


@pytest.mark.slow
def test_tensors_that_differ_in_case_alone_keep_a_row_out_of_no_view(hub):
    one, other = TensorRecord("FP32", (1, 2), (0.5, 2.0)), TensorRecord("BOOL", (2,), (True, False))
    specs = tuple(TensorSpec(name=name, datatype=DataType.FP32, shape=(-1,)) for name in ("x", "X", "y"))
    manifest = released().model_copy(update={"inputs": specs, "outputs": specs})
    told_by_rows = [
        ({"x": one, "X": other, "y": one}, {"X": one, "x": other}),
        ({"y": other}, {}),
        ({"X": one}, {"X": one, "y": one}),
    ]
    digest = put_bytes(hub.store, canonical_json(manifest)).digest
    records = [told(digest=digest, features=(), inputs=inputs, outputs=outputs) for inputs, outputs in told_by_rows]
    for seq, record in reversed(list(enumerate(records, 1))):
        upload(hub, PREDICTIONS, seq - 1, [Row(seq, seq, NOW, NOW, 0, msgspec.json.encode(record))])
        hub.run()
    with opened(hub.lake) as query:
        assert query.run("SELECT count(*) AS n FROM answers").read_all()["n"].to_pylist() == [3]
    payloads = [explained(hub, RecordId(ID.site, ID.node, ID.epoch, seq)).payload for seq in (1, 2, 3)]
    assert [(each.inputs, each.outputs) for each in payloads[:2]] == told_by_rows[:2]
    # Which of the two the third one had, the table can't tell.
    assert (payloads[2].inputs, payloads[2].outputs) == ({}, {"y": one})


def test_of_a_row_that_was_set_aside_all_is_told(hub):
    names = ("x", "X", own_name("X"))
    tensors = {name: TensorRecord("FP32", (n,)) for n, name in enumerate(names)}
    specs = tuple(TensorSpec(name=name, datatype=DataType.FP32, shape=(-1,)) for name in names)
    published(hub, told(inputs=tensors), manifest=released().model_copy(update={"inputs": specs}))
    payload = explained(hub).payload
    with opened(hub.lake) as query:
        assert query.run("SELECT count(set_aside) AS n FROM predictions").read_all()["n"].to_pylist() == [1]
    assert payload.inputs == tensors


@pytest.mark.slow
@pytest.mark.parametrize("press", [7, "7", "pr'ess", 'pr"ess', "prés"])
def test_whoever_it_is_about(hub, press):
    others = [event({"rms": 3.0}, ago(100), subject=other) for other in (7, "x", None, 7.5)]
    events = [event({"rms": 1.0}, ago(300), subject=press), *others]
    record = published(hub, told(events, str(press)))
    upload(hub, VIBRATION, 0, stored(events))
    assert explained(hub) == locally(record, events)


def test_what_was_known_of_devices_counts_as_it_did(hub, monkeypatch):
    fields = [
        {"name": "rms", "path": "data.rms", "type": "Float64"},
        {"name": "gain", "path": "device.gain", "type": "Float64"},
        {"name": "model", "path": "device.model", "type": "String", "required": False},
    ]
    features = [
        feature("count", "Count", None),
        feature("hot", "Count", None, filter="model == 'X1'"),
        feature("mean", "Mean", "rms * gain"),
        feature("past", "Sum"),
    ]
    changed = document(features, fields=fields)
    for where in (cases, sys.modules[__name__]):
        monkeypatch.setattr(where, "SET", changed)
    monkeypatch.setattr(cases, "DIGEST", digests.of_bytes(canonical_json(changed)))
    known = {"revision": "0123456789ab", "gain": 2, "model": "X1"}
    events = [
        event({"rms": 1.0}, ago(300), device=known),
        event({"rms": 2.0}, ago(200)),
        event({"rms": 4.0}, ago(100), device={**known, "gain": 0.5, "model": "X2"}),
    ]
    record = published(hub, told(events))
    upload(hub, VIBRATION, 0, stored(events))
    explanation = explained(hub)
    assert explanation == locally(record, events)
    (filled,) = explanation.inputs
    assert [(each.counted, each.found, each.value) for each in filled.features] == [
        (2, 2, 2.0),
        (1, 1, 1.0),
        (2, 2, 2.0),
        (2, 2, 5.0),
    ]


def test_events_that_fit_no_column_are_found_too(hub):
    upload(hub, VIBRATION, 0, stored(EVENTS[:3]))
    hub.run()
    odd = (body({"rms": 4.0, "cycles": [1]}), ago(200), ago(200))
    events = [
        *EVENTS[:3],
        (odd[0].replace(b'"cycles": [1]', b'"open": "yes"'), *odd[1:]),
        event({"rms": 4.5}, ago(190)),
    ]
    record = published(hub, told(events))
    upload(hub, VIBRATION, 3, stored(events[3:], 4))
    assert explained(hub) == locally(record, events)


def test_what_never_comes_is_told(hub):
    record = published(hub, told())
    rows = [row for row in stored(EVENTS) if row.seq != 3]
    upload(hub, VIBRATION, 0, rows, [Absent(3, 3, AbsentReason.SAMPLED)])
    (filled,) = explained(hub).inputs
    assert [(each.reason, each.records) for each in filled.missing] == [
        ("their site told that they never come: Sampled", 1)
    ]
    assert filled.notes[0] == "count: 1 of 4 events are no longer kept here"
    assert record.features[0].events[0] == 4


def test_what_has_not_come_yet_is_told(hub):
    published(hub, told())
    upload(hub, VIBRATION, 0, stored(EVENTS[:4]))
    (filled,) = explained(hub).inputs
    assert [(each.reason, each.records) for each in filled.missing] == [("they have not come here yet", 5)]


def test_a_gap_is_told(hub):
    published(hub, told())
    upload(hub, VIBRATION, 0, stored(EVENTS[:4]))
    upload(hub, VIBRATION, 5, stored(EVENTS[5:], 6))
    (filled,) = explained(hub).inputs
    assert [(each.reason, each.records) for each in filled.missing] == [("they are late", 1)]


def test_what_was_redacted_is_counted_and_not_told(hub):
    published(hub, told())
    rows = stored(EVENTS)
    rows[4] = Row(5, 5, rows[4].time, rows[4].received, 8, b"{}")
    upload(hub, VIBRATION, 0, rows)
    (filled,) = explained(hub).inputs
    assert [(each.reason, each.records) for each in filled.missing] == [("they were redacted", 1)]


def test_no_event_has_come_at_all(hub):
    published(hub, told())
    (filled,) = explained(hub).inputs
    assert [each.found for each in filled.features] == [0] * 4
    assert filled.missing[0].reason == "they have not come here yet"


def test_logs_of_other_epochs_count_up_to_the_prediction(hub):
    before = LogName("berlin", "node-1", "vibration", "0" * 16)
    record = published(hub, told())
    upload(hub, before, 0, stored(EVENTS[:4]))
    upload(hub, VIBRATION, 4, stored(EVENTS[4:], 5), last=9)
    upload(hub, LogName("berlin", "node-1", "vibration", "f" * 16), 0, stored([event({"rms": 1.0}, ago(60), NOW + 1)]))
    (filled,) = explained(hub).inputs
    assert [each.found for each in filled.features] == list(record.features[0].events)
    assert {RecordId.parse(each.id).epoch for each in filled.events} == {EPOCH, "0" * 16}


def test_a_release_that_is_not_in_the_store(hub):
    record = told()
    upload(hub, PREDICTIONS, 6, [Row(7, 7, NOW, NOW, 0, msgspec.json.encode(record))])
    explanation = explained(hub)
    assert "isn't kept here" in explanation.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seq", "why"),
    [(3, "never comes: Sampled"), (6, "never comes: Expired"), (9, "not synced it yet: the newest .* number 7")],
)
def test_why_a_prediction_is_not_here(hub, seq, why):
    published(hub, told())
    with pytest.raises(PredictionNotFoundError, match=why):
        explained(hub, RecordId(ID.site, ID.node, ID.epoch, seq))


@pytest.mark.slow
def test_why_there_is_nothing(hub):
    with pytest.raises(PredictionNotFoundError, match="nothing of that log has come"):
        explained(hub)
    published(hub, told())
    upload(hub, PREDICTIONS, 9, [Row(10, 10, NOW, NOW, 0, b'{"model":"other"}'), Row(11, 11, NOW, NOW, 8, b"{}")])
    hub.run()
    for seq, why in ((8, "asked for again"), (10, "can't be understood"), (11, "redacted")):
        with pytest.raises(PredictionNotFoundError, match=why):
            explained(hub, RecordId(ID.site, ID.node, ID.epoch, seq))
    with pytest.raises(PredictionNotFoundError, match="nothing of that log"):
        explained(hub, RecordId("x'--", ID.node, ID.epoch, 1))


def test_by_the_command_line(hub):
    published(hub, told())
    upload(hub, VIBRATION, 0, stored(EVENTS))
    hub.run()
    answer = CliRunner().invoke(app, ["explain", str(ID), "--store", hub.lake.uri, "--json"])
    assert answer.exit_code == 0, answer.stderr
    assert json.loads(answer.stdout)["by"] == "hub"
    answer = CliRunner().invoke(app, ["explain", f"{ID}9"], env={"SKERRY_STORE": hub.lake.uri})
    assert (answer.exit_code, "not synced it yet" in answer.stderr) == (1, True)
