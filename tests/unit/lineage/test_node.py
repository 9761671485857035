"""A node explains from its own logs and store folder; over HTTP, one at a time."""

import asyncio
import http.client
import json
import shutil
import threading
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from http import HTTPStatus

import msgspec
import pytest

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.durable import write_file
from skerry_core.errors import UserMustActError
from skerry_core.lineage.record import RecordId, TensorRecord
from skerry_edge.events import retention
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.events.settings import StreamSettings
from skerry_edge.http.server import BodyBudget, HttpServer
from skerry_edge.inference.status_service import StatusService, plain_error
from skerry_edge.inference.store_folder import StoreFolder
from skerry_edge.lineage.node import NodeLineage, PredictionNotFoundError
from skerry_edge.lineage.offline import explain_on_volume
from skerry_edge.lineage.rescan import Limits
from tests.unit.features.sets import event
from tests.unit.lineage.cases import NOW, SET, ago, recorded, released

EVENTS = [
    event({"rms": float(rms)}, ago(age), subject=press)
    for rms, age, press in (
        (9, 1500, "press-1"),
        (1, 700, "press-1"),
        (2, 400, "press-1"),
        (8, 390, "press-2"),
        (6, 300, "press-1"),
    )
]


class Site:
    """A node's volume, with what its process wrote."""

    def __init__(self, root):
        self.root = root
        self.wall = NOW * 1000
        self.logs = self.started()

    def started(self, node="node-1"):
        logs = EventLogs(self.root / "inference" / "log", Owner("berlin", node, "boot"), wall=lambda: self.wall)
        self.events, self.predictions = (
            logs.open(StreamSettings(name, 1, timedelta(days=8), 1 << 30)) for name in ("vibration", PREDICTIONS)
        )
        return logs

    def blob(self, data):
        digest = digests.of_bytes(data)
        write_file(self.root / "store" / "blobs" / "sha256" / digests.hex_of(digest), data)
        return digest

    def append(self, events, *, rolled=False):
        for body, time, received in events:
            self.events.append([NewRecord(body, time, received)])
            if rolled:
                self.events.roll()

    def predict(self, events=EVENTS, **changes):
        """What the serving process would log after these events of the live log."""
        digest = self.blob(canonical_json(released()))
        self.blob(canonical_json(SET))
        record, _ = recorded(events)
        lineage = msgspec.structs.replace(record.features[0], epoch=self.events.epoch)
        record = msgspec.structs.replace(record, digest=digest, features=(lineage,), **changes)
        (seq,) = self.predictions.append([NewRecord(msgspec.json.encode(record), NOW, NOW)])
        return str(RecordId("berlin", "node-1", self.predictions.epoch, seq))

    def lineage(self, **limits):
        blob = StoreFolder(self.root / "store").blob
        return NodeLineage("berlin", "node-1", self.root / "inference" / "log", blob, Limits(**limits))

    def numbers(self, prediction, **limits):
        (filled,) = self.lineage(**limits).explain(prediction).inputs
        return [RecordId.parse(each.id).seq for each in filled.events], filled


@pytest.fixture
def site(tmp_path):
    (tmp_path / "store" / "blobs" / "sha256").mkdir(parents=True)
    site = Site(tmp_path)
    yield site
    site.logs.close()


@pytest.mark.parametrize("rolled", [False, True])
def test_found_in_the_logs(site, rolled):
    site.append(EVENTS, rolled=rolled)
    prediction = site.predict()
    site.append([event({"rms": 7.0}, ago(100))])
    seqs, filled = site.numbers(prediction)
    assert seqs == [5, 3, 2]
    assert [(each.counted, each.found) for each in filled.features] == [(2, 2), (1, 1), (2, 2), (3, 3)]
    assert filled.missing == filled.notes == ()
    assert explain_on_volume(site.root, prediction) == site.lineage().explain(prediction)


def test_inputs_and_outputs_are_found_with_the_record(site):
    tensors = {"x": TensorRecord("FP32", (1, 2), (0.5, -0.0)), "flag": TensorRecord("BOOL", (1,), (True,))}
    told = site.lineage().explain(site.predict(inputs=tensors)).payload
    assert (told.inputs, told.outputs) == (tensors, {})
    assert site.lineage().explain(site.predict()).payload is None


def test_of_a_log_that_was_set_aside(site):
    site.append(EVENTS)
    prediction = site.predict()
    site.logs.close()
    site.logs = site.started("node-2")
    site.append([event({"rms": 7.0}, ago(100), NOW + 1)])
    assert site.numbers(prediction)[0] == [5, 3, 2]
    assert explain_on_volume(site.root, prediction.replace("node-1", "node-2"))


def test_expired_events_are_said_to_be(site):
    site.append(EVENTS, rolled=True)
    prediction = site.predict()
    closed = retention.closed_segments(site.events.directory)[:3]
    site.events.note_expired(3, 3)
    retention.remove(site.events.directory, closed)
    seqs, filled = site.numbers(prediction)
    assert seqs == [5]
    assert filled.notes[-1] == "3 records that the windows may have held can't be looked at: they expired on this node"
    assert filled.notes[0] == "count: 1 of 2 events are no longer kept here"
    assert [each.value for each in filled.features] == [None, 1.0, None, None]


def test_what_went_to_the_hub_is_said_to_be_there(site):
    site.append(EVENTS, rolled=True)
    prediction = site.predict()
    segment_path(site.events.directory, 1).unlink()
    segment_path(site.events.directory, 2).unlink()
    assert "the hub has them" in site.numbers(prediction)[1].missing[0].reason


def test_redacted_events_are_counted_and_not_told(site):
    site.append(EVENTS)
    prediction = site.predict()
    site.logs.redact("vibration", lambda body: json.loads(body)["data"]["rms"] == 2.0)
    seqs, filled = site.numbers(prediction)
    assert seqs == [5, 2]
    assert [(each.reason, each.records) for each in filled.missing] == [("they were redacted", 1)]


@pytest.mark.parametrize("limits", [{"max_bytes": 1}, {"max_held": 1}, {"seconds": -1.0}])
def test_a_look_up_is_bounded(site, limits):
    site.append(EVENTS, rolled=True)
    prediction = site.predict()
    seqs, filled = site.numbers(prediction, **limits)
    assert len(seqs) < 3
    assert filled.missing[0].reason == "looking for them would have taken too long"


def test_a_release_and_a_log_that_are_gone(site):
    site.append(EVENTS)
    prediction = site.predict()
    shutil.rmtree(site.root / "inference" / "log" / "vibration")
    (filled,) = site.lineage().explain(prediction).inputs
    assert [each.found for each in filled.features] == [0] * 4
    shutil.rmtree(site.root / "store" / "blobs")
    explanation = site.lineage().explain(prediction)
    assert "isn't kept here" in explanation.notes[0]
    assert explanation.inputs[0].version == "1.0.0"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("berlin", "rome"), "this is node node-1 of site berlin"),
        (lambda text: text.replace("node-1", "node-2"), "this is node node-1"),
        (lambda text: "berlin/node-1/0000000000000000/1", "no log 0000000000000000 of predictions; there are"),
        (lambda text: text.rpartition("/")[0] + "/99", "no such number, or not yet"),
    ],
)
def test_why_a_prediction_is_not_here(site, change, why):
    prediction = change(site.predict())
    with pytest.raises(PredictionNotFoundError, match=why) as error:
        site.lineage().explain(prediction)
    assert error.value.reason == "PredictionNotFound"


def test_predictions_that_were_there(site):
    first, second = site.predict(), site.predict()
    site.predictions.append([NewRecord(b'{"other":1}', NOW, NOW)])
    with pytest.raises(PredictionNotFoundError, match="can't be understood"):
        site.lineage().explain(second.rpartition("/")[0] + "/3")
    site.logs.redact(PREDICTIONS, lambda body: b"har" in body)
    with pytest.raises(PredictionNotFoundError, match="redacted"):
        site.lineage().explain(first)
    site.predict()
    (path, *_) = (segment_path(site.predictions.directory, base) for base in segment_firsts(site.predictions.directory))
    path.unlink()
    with pytest.raises(PredictionNotFoundError, match="ask the hub"):
        site.lineage().explain(first)
    site.predictions.note_expired(3, 3)
    with pytest.raises(PredictionNotFoundError, match="it expired"):
        site.lineage().explain(first)


def test_an_empty_volume(tmp_path):
    with pytest.raises(PredictionNotFoundError, match="holds no log"):
        explain_on_volume(tmp_path, "a/b/c/1")
    with pytest.raises(UserMustActError):
        explain_on_volume(tmp_path, "a")


# Over HTTP


def get(port, path):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


@asynccontextmanager
async def served(lineage):
    """A node's own port; gives how to ask it."""
    service = StatusService(None, None, alive=lambda: True, ready=lambda: True, lineage=lineage)
    server = HttpServer(service.handle, plain_error, BodyBudget())
    port = await server.start("127.0.0.1", 0)
    try:
        yield lambda prediction: asyncio.to_thread(get, port, f"/v1/predictions/{prediction}")
    finally:
        await server.stop(1.0)


def asked(lineage, prediction):
    async def run():
        async with served(lineage) as ask:
            return await ask(prediction)

    return asyncio.run(run())


def test_over_http(site):
    site.append(EVENTS)
    prediction = site.predict()
    status, body = asked(site.lineage(), prediction)
    assert (status, body) == (HTTPStatus.OK, msgspec.json.encode(site.lineage().explain(prediction)))
    assert asked(site.lineage(), prediction.replace("/", "%2F")) == (status, body)


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("berlin/node-1/0000000000000000/1", HTTPStatus.NOT_FOUND, b"keeps no log"),
        ("berlin/1", HTTPStatus.BAD_REQUEST, b"no prediction id"),
        ("%00/%ff/../1", HTTPStatus.NOT_FOUND, b"this is node"),
    ],
)
def test_over_http_refused(site, path, status, text):
    found, body = asked(site.lineage(), path)
    assert (found, text in body) == (status, True)


def test_one_at_a_time():
    entered, done = threading.Event(), threading.Event()

    class Slow:
        def explain(self, _):
            entered.set()
            done.wait(10)
            raise OSError("a sick disk")

    async def run():
        async with served(Slow()) as ask:
            first = asyncio.create_task(ask("a/b/c/1"))
            await asyncio.to_thread(entered.wait, 10)
            second = await ask("a/b/c/1")
            done.set()
            return await first, second

    first, second = asyncio.run(run())
    assert (first[0], second[0]) == (HTTPStatus.SERVICE_UNAVAILABLE,) * 2
    assert (b"a sick disk" in first[1], b"just being explained" in second[1]) == (True, True)
