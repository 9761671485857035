"""The site's devices: a file that changes, goes or is wrong, and what of it is stored with events."""

import json
import math
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.errors import UserMustActError
from skerry_edge.events.record import MAX_BODY
from skerry_edge.ingest.devices import (
    MAX_ADDED_BYTES,
    MAX_DEVICES,
    MAX_DOCUMENT_BYTES,
    MAX_ENTRY_BYTES,
    device_of,
    names_device,
    read_devices,
    with_device,
)
from skerry_edge.ingest.devices_keeper import FILE, DevicesKeeper
from skerry_edge.ingest.metrics import IngestMetrics
from tests.unit.ingest.worlds import ScriptedLog, event, registry, stream_over, stream_policy

PRESS = {"model": "X1", "gain": 1.5, "units": {"rms": "m/s"}}


def document(**devices):
    return json.dumps({"devices": devices}).encode()


def test_an_entry_has_the_same_bytes_however_it_is_written():
    one = read_devices(b'{"devices": {"press-7": {"model": "X1", "gain": 1.0, "units": {"b": 1, "a": true}}}}')
    other = read_devices(b'{"devices":{"press-7":{"units":{"a":true,"b":1e0},"gain":1,"model":"\\u0058\\u0031"}}}')
    assert one.entries == other.entries
    assert one.digest == other.digest
    entry = json.loads(one.entries["press-7"])
    assert entry == {"model": "X1", "gain": 1, "units": {"a": True, "b": 1}, "revision": entry["revision"]}


def test_as_of_is_told_of_each_device_and_changes_no_revision():
    before = json.loads(read_devices(document(a=PRESS)).entries["a"])
    checked = read_devices(json.dumps({"asOf": "2026-11-28T07:00:00+01:00", "devices": {"a": PRESS}}).encode())
    assert json.loads(checked.entries["a"]) == before | {"asOf": "2026-11-28T06:00:00.000000Z"}
    assert read_devices(checked.data) == checked


def test_a_revision_is_that_of_the_device_alone():
    before = read_devices(document(a=PRESS, b=PRESS, c={}))
    after = read_devices(document(a=PRESS, b={**PRESS, "gain": 1.6}))
    assert before.digest != after.digest
    assert before.entries["a"] == before.entries["b"] == after.entries["a"] != after.entries["b"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b"[]", "it must be"),
        (b"{}", "it must be"),
        (b'{"devices": []}', "it must be"),
        (b'{"devices": {}, "more": {}}', "it must be"),
        (b'{"devices": {"a": {}, "a": {}}}', "'a' is there twice"),
        (b'{"devices": {"a": {"x": 1, "x": 2}}}', "'x' is there twice"),
        (document(a=7), "'a' must be an object"),
        (document(a={"x": None}), "'a': 'x' must be"),
        (document(a={"x": [1]}), "'a': 'x' must be"),
        (document(a={"x": {"y": {}}}), "'a': x.y is nested too deeply"),
        (document(a={"x": {"y": None}}), "'a': 'y' must be"),
        (document(a={"x-y": 1}), "'x-y' is no name"),
        (document(a={"7": 1}), "'7' is no name"),
        (document(a={"": 1}), "'' is no name"),
        (document(a={"revision": 1}), "revision is told of every device"),
        (document(a={"asOf": "2026-11-28T06:00:00Z"}), "asOf is told of every device"),
        (b'{"devices": {}, "asOf": "yesterday"}', "asOf: time must be"),
        (b'{"devices": {}, "asOf": "2026-11-28T06:00:00"}', "asOf: time must be"),
        (b'{"devices": {}, "asOf": "2026-02-30T06:00:00Z"}', "not in the calendar"),
        (b'{"devices": {}, "asOf": null}', "asOf: time must be"),
        (b'{"asOf": "2026-11-28T06:00:00Z"}', "it must be"),
        (document(a={"x": "x" * 257}), "more than 256 characters"),
        (document(a={"x": 1 << 53}), "beyond 2^53"),
        (b'{"devices": {"a": {"x": 1e999}}}', "beyond 2^53"),
        (b'{"devices": {"a": {"x": 9007199254740992.0}}}', "beyond 2^53"),
        (b'{"devices": {"a": {"x": NaN}}}', "NaN is no number"),
        (b'{"devices": {"a": {"x": %s}}}' % (b"9" * 5000), ""),
        (b'{"devices": {"a": {"x": "\\ud800"}}}', ""),
        (b'{"devices": {"\\ud800": {}}}', ""),
        (document(**{"": {}}), "a device's name has"),
        (document(**{"x" * 1025: {}}), "a device's name has"),
        (document(a={f"x{n}": "y" * 100 for n in range(10)}), f"allowed are {MAX_ENTRY_BYTES}"),
        (document(**{str(n): {} for n in range(MAX_DEVICES + 1)}), f"at most {MAX_DEVICES} devices"),
        (document(a={"x": 1}) + b" " * MAX_DOCUMENT_BYTES, f"more than {MAX_DOCUMENT_BYTES} bytes"),
    ],
)
def test_what_is_no_registry(data, words):
    with pytest.raises(UserMustActError, match=r"devices\.json can't be used") as raised:
        read_devices(data)
    assert raised.value.reason == "DevicesInvalid"
    assert words in str(raised.value)


@given(st.binary(max_size=200))
def test_what_is_no_registry_is_refused_in_one_way(data):
    with suppress(UserMustActError):
        assert read_devices(data).entries == {}


VALUES = st.text(max_size=20) | st.booleans() | st.floats(-1e15, 1e15) | st.integers(-9, 9)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"revision", "asOf"}
)
ENTRIES = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, VALUES, max_size=3), max_size=4)


@given(st.dictionaries(st.text(min_size=1, max_size=8), ENTRIES, max_size=4))
def test_what_a_node_keeps_is_read_as_it_was(devices):
    try:
        found = read_devices(json.dumps({"devices": devices}).encode())
    except UserMustActError:
        return  # half of a character
    assert read_devices(found.data) == found
    for name, known in devices.items():
        entry = json.loads(found.entries[name])
        assert len(entry.pop("revision")) == 12
        assert entry == known


@pytest.mark.parametrize(
    ("path", "given", "expected"),
    [
        ("subject", {"subject": "press-7"}, "press-7"),
        ("subject", {}, None),
        ("source", {"source": "mqtt:floor/7"}, "mqtt:floor/7"),
        ("data.device", {"data": {"device": "press-7"}}, "press-7"),
        ("data.device", {"data": {"device": 7}}, "7"),
        ("data.press.id", {"data": {"press": {"id": "7", "more": [1]}}}, "7"),
        ("data.press.id", {"data": {"press": None}}, None),
        ("data.press.id", {"data": {"press": "7"}}, None),
        ("data.press.id", {"data": {"press": {"id": True}}}, None),
        ("data.press.id", {"data": {"press": {"id": 7.5}}}, None),
        ("data.press.id", {"data": {"press": {"id": ["7"]}}}, None),
        ("data.press.id", {"data": [1]}, None),
        ("data.press.id", {}, None),
    ],
)
def test_the_device_that_an_event_names(path, given, expected):
    assert device_of(path, event(1, **given)) == expected


def test_only_an_attribute_of_that_name_is_the_producers_own():
    assert names_device(event(1, device="x").body)
    assert not names_device(event(1, data={"device": "x"}).body)
    assert not names_device(event(1, subject='"device"').body)


class Node:
    def __init__(self, root):
        self.folder, self.note = root / "map", root / "note.json"
        self.folder.mkdir()
        self.registry = registry()
        self.keeper = self.started()

    def started(self):
        self.registry = registry()
        self.keeper = DevicesKeeper(self.folder, self.note, IngestMetrics(self.registry))
        return self.keeper

    def tell(self, data):
        if data is None:
            (self.folder / FILE).unlink(missing_ok=True)
        else:
            (self.folder / FILE).write_bytes(data)
        self.keeper.look()

    def known(self, device="press-7", path="subject"):
        body = self.keeper.stored(stream_policy(device_path=path), event(1, subject=device))
        return json.loads(body).get("device", {}).get("gain")

    def value(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_a_node_goes_by_the_last_file_that_it_could_read(node):
    assert node.known() is None
    node.tell(document(**{"press-7": {"gain": 1.5}}))
    assert node.known() == 1.5
    for bad in (None, b"{", b"", document(**{"press-7": None})):
        node.tell(bad)
        assert node.known() == 1.5
        node.started()
        assert node.known() == 1.5
    assert node.value("skerry_devices_invalid") == 1
    node.tell(document(**{"press-7": {"gain": 1.6}}))
    assert node.known() == 1.6
    assert node.value("skerry_devices_invalid") == 0
    node.tell(document())
    assert node.known() is None
    node.tell(None)
    assert node.started() is node.keeper
    assert node.known() is None


def test_which_version_is_in_force_is_told(node):
    for data in (document(a=PRESS), document(a=PRESS, b=PRESS)):
        node.tell(data)
        found = read_devices(data)
        [samples] = [each.samples for each in node.registry.collect() if each.name == "skerry_devices"]
        assert [(sample.labels, sample.value) for sample in samples] == [({"digest": found.digest}, len(found.entries))]
        assert math.isnan(node.value("skerry_devices_as_of_timestamp_seconds"))
    node.tell(b'{"devices": {}, "asOf": "1970-01-01T00:01:00.5Z"}')
    assert node.value("skerry_devices_as_of_timestamp_seconds") == 60.5


def test_a_copy_that_is_no_registry_is_as_none(node):
    node.note.write_bytes(b"{")
    node.started()
    assert node.known() is None
    node.tell(document(**{"press-7": {"gain": 1.5}}))
    node.tell(None)
    node.started()
    assert node.known() == 1.5


def test_events_of_unknown_devices_are_stored_as_they_came_and_counted(node):
    node.tell(document(**{"press-7": PRESS}))
    for subject in ("press-8", None):
        came = event(1) if subject is None else event(1, subject=subject)
        assert node.keeper.stored(stream_policy(device_path="subject"), came) == came.body
    assert node.value("skerry_events_unknown_device_total", stream="readings") == 2
    came = event(1, subject="press-7")
    assert node.keeper.stored(stream_policy(), came) == came.body


def test_an_event_keeps_what_was_known_when_it_came(node):
    """The registry changes, a retry is no second event, and the log says of each what held then."""
    log = ScriptedLog()
    stream, _ = stream_over(log, node.keeper.stored, device_path="data.press")
    for number, gain in enumerate((1.5, None, 1.7)):
        node.tell(document(**({} if gain is None else {"7": {"gain": gain}})))
        stream.accept([event(number, data={"press": 7}), event(0, data={"press": 7})])
    assert [json.loads(record.body).get("device", {}).get("gain") for record in log.records] == [1.5, None, 1.7]


def test_whatever_is_known_of_devices_fits_beside_an_event(node):
    """The largest events, as many as a request may have, each with the largest entry."""
    node.tell(document(**{"press-7": {f"x{n}": "y" * 200 for n in range(4)} | {"z": "z" * 120}}))
    entry = node.keeper.stored(stream_policy(device_path="subject"), event(1, subject="press-7"))
    assert len(entry) <= len(event(1, subject="press-7").body) + MAX_ADDED_BYTES
    log = ScriptedLog()
    stream, _ = stream_over(log, node.keeper.stored, device_path="subject")
    assert stream.max_body + MAX_ADDED_BYTES == MAX_BODY
    small = [event(number, subject="press-7") for number in range(5000)]
    large = [event(f"l{number}", subject="press-7", data="x" * 60_000) for number in range(50)]
    for events in (small, large):
        receipt = stream.accept(events)
        assert receipt.accepted == len(events)
    assert log.ids == [str(number) for number in range(5000)] + [f"l{number}" for number in range(50)]
    assert log.appends > 2
    assert max(len(record.body) for record in log.records) <= MAX_BODY


@given(st.dictionaries(st.sampled_from(["data", "subject", "x"]), st.text('a\\"é{}', max_size=9), max_size=3))
def test_a_stored_event_is_the_event_and_what_is_known(more):
    came = event(1, **{name: value or "-" for name, value in more.items()})
    entry = read_devices(document(a=PRESS)).entries["a"]
    both = json.loads(with_device(came.body, entry))
    assert both.pop("device") == json.loads(entry)
    assert both == json.loads(came.body)


def test_the_example_is_a_registry():
    example = yaml.safe_load((Path(__file__).parents[3] / "examples" / "devices.yaml").read_text())
    assert (example["metadata"]["name"], example["metadata"]["namespace"]) == ("skerry-devices", "skerry-runtime")
    assert sorted(read_devices(example["data"][FILE].encode()).entries) == ["press-7", "press-8"]
