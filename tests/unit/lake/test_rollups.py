"""At the hub, rollups of all nodes come to what one node would have told that saw all events; to the bit."""

import base64
import json
import random
import re
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS, ROLLUPS
from skerry_core.batch.contents import Batch, Row
from skerry_core.errors import UserMustActError
from skerry_core.rollups.series import observed
from skerry_core.rollups.state import Shape, ValueKind, encode, gather
from skerry_core.rollups.summary import summary
from skerry_edge.sync.outbound.rollups.told import Told
from skerry_edge.sync.outbound.rollups.windows import Opened, Values, fold
from skerry_operator.ingest.rollup_functions import define
from tests.unit.lake.batches import START, SiteLog

HOUR = 3_600_000_000
NUMBER = Shape(ValueKind.NUMBER)


def text(shape, values, times=None):
    times = [0] * len(values) if times is None else times
    [state] = gather(shape, values, np.zeros(len(values), np.int64), np.array(times, np.int64))
    return base64.b64encode(encode(state)).decode()


def reading(rng):
    data = {"bar": rng.gauss(5, 2), "state": rng.choice(["idle", "busy"]), "axes": [rng.random() for _ in range(3)]}
    return {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": data}


def prediction(rng):
    return {
        "namespace": "team",
        "model": "har",
        "version": rng.choice(["1.0.0", "2.0.0"]),
        "digest": "sha256:a",
        "variant": "champion",
        "latency": rng.random(),
        "decided": [rng.randrange(4)],
    }


def told(site, node, stream, events):
    """What a node makes of events, given as (time, received, record), batch by batch."""
    windows, opened = {}, Opened()
    values = [
        Values(seq, time, received, observed(stream, json.dumps(body).encode()).values)
        for seq, (time, received, body) in enumerate(events, 1)
    ]
    for start in range(0, len(values), 7):
        folded = fold(windows, opened, "e", values[start : start + 7], HOUR)
        windows, opened = folded.windows, folded.opened
    return [Told(site, node, stream, window).record(START + 9 * HOUR) for window in windows.values()]


def upload(hub, site, node, records):
    log = SiteLog(site=site, node=node, stream=ROLLUPS)
    rows = [Row(seq, seq << 16, each.time, each.received, 0, each.body) for seq, each in enumerate(records, 1)]
    log.upload(hub.store, 0, len(rows), Batch(log.name, 0, len(rows), tuple(rows)))


@pytest.fixture
def fleet(hub):
    """Four nodes of two sites with events of six hours, some late; what each saw."""
    rng = random.Random(5)
    seen = defaultdict(list)
    for site in ("berlin", "rome"):
        for node in ("node-1", "node-2"):
            records = []
            for stream, make in (("readings", reading), (PREDICTIONS, prediction)):
                events = []
                for _ in range(60):
                    time = START + rng.randrange(6 * HOUR)
                    events.append((time, time + rng.choice([0, 0, HOUR, 3 * HOUR]), make(rng)))
                seen[stream] += events
                records += told(site, node, stream, events)
            rng.shuffle(records)
            upload(hub, site, node, records)
    hub.run()
    return seen


def expected(stream, events):
    by_window = defaultdict(list)
    for time, _, body in events:
        for series, values in observed(stream, json.dumps(body).encode()).values.items():
            by_window[time // HOUR, series] += [(value, time) for value in values]
    return {
        (datetime.fromtimestamp(pane * 3600, UTC), series.path, *series.group): text(
            series.shape, [value for value, _ in seen], [time for _, time in seen]
        )
        for (pane, series), seen in by_window.items()
    }


@pytest.mark.slow
def test_all_nodes_come_to_one(fleet, ask):
    found = ask("SELECT * FROM rollups_by_stream WHERE stream = 'readings'")
    assert {(row["start"], row["path"]): row["state"] for row in found} == expected("readings", fleet["readings"])
    assert {row["sites"] for row in found} == {2}
    assert {(row["path"], row["kind"], row["length"]) for row in found} == {
        ("bar", "Number", None),
        ("state", "Text", None),
        ("axes", "Vector", 3),
    }
    assert len(ask("SELECT * FROM rollups_by_stream")) == len(found)


@pytest.mark.slow
def test_all_nodes_come_to_one_by_model(fleet, ask):
    found = ask("SELECT * FROM rollups_by_model")
    group = ("namespace", "model", "version", "digest", "variant", "outcome")
    assert {(row["start"], row["path"], *(row[name] for name in group)): row["state"] for row in found} == expected(
        PREDICTIONS, fleet[PREDICTIONS]
    )


@pytest.mark.slow
def test_windows_merge_to_longer_ones_and_say_what_they_hold(fleet, ask):
    numbers = [body["data"]["bar"] for _, _, body in fleet["readings"]]
    [row] = ask("""SELECT unnest(rollup(data_state)), any_value(data_seconds) AS seconds
        FROM rollups WHERE data_stream = 'readings' AND data_path = 'bar'""")
    times = [time for time, _, _ in fleet["readings"]]
    [state] = gather(NUMBER, numbers, np.zeros(len(numbers), np.int64), np.array(times, np.int64))
    says = summary(state)
    assert row.pop("newest") == datetime.fromtimestamp(max(times) / 1e6, UTC)
    assert row == {
        "count": 240,
        "sum": says.total,
        "mean": says.mean,
        "std": says.std,
        "min": min(numbers),
        "max": max(numbers),
        "p50": says.p50,
        "p95": says.p95,
        "p99": says.p99,
        "distinct_values": says.distinct,
        "vector": None,
        "unreadable": 0,
        "state": text(NUMBER, numbers, times),
        "seconds": 3600.0,
    }
    [row] = ask("""SELECT rollup_quantile((rollup(data_state)).state, 0.5) AS p50,
        list_sum(list_transform(rollup_histogram((rollup(data_state)).state), lambda b: b.count)) AS n
        FROM rollups WHERE data_path = 'bar'""")
    assert row == {"p50": says.p50, "n": 240}


@pytest.mark.slow
def test_what_the_page_says_to_ask_has_answers(fleet, ask):
    page = (
        (Path(__file__).parents[3] / "docs" / "rollups.md")
        .read_text()
        .replace("vibration", "readings")
        .replace("'rms'", "'bar'")
    )
    questions = re.findall(r'skerry query "([^"]*)"', page)
    assert len(questions) == 3
    for question in questions:
        assert ask(question)


@pytest.mark.slow
def test_a_record_tells_the_same_without_its_state(fleet, ask):
    assert ask("""SELECT count(*) AS n FROM (SELECT any_value(data_count) AS told, any_value(data_mean) AS mean,
        rollup(data_state) AS merged FROM rollups WHERE data_kind = 'Number' GROUP BY site, node, seq)
        WHERE told <> merged.count OR mean <> merged.mean""") == [{"n": 0}]


@pytest.mark.slow
def test_a_site_that_tells_nonsense_fails_no_question(fleet, hub, ask):
    before = {row["state"] for row in ask("SELECT state FROM rollups_by_stream")}
    good = text(NUMBER, [1.0])
    lies = [
        {"kind": "Text", "start": "2026-11-01T00:00:00Z", "state": good, "path": "state"},
        {"kind": "Number", "start": "yesterday", "state": good, "path": "bar"},
        {"kind": "Number", "start": "2026-11-01T00:00:00Z", "state": "&", "path": "bar"},
        {
            "kind": "Vector",
            "length": 3,
            "start": "2026-11-01T00:00:00Z",
            "state": text(Shape(ValueKind.VECTOR, 2), [[1, 2]]),
        },
    ]
    bodies = [{"id": "1", "data": {"stream": "readings", "path": "axes", "seconds": 3600.0, **lie}} for lie in lies]
    log = SiteLog(site="ulm", stream=ROLLUPS)
    rows = [Row(seq, seq << 16, START, START, 0, json.dumps(body).encode()) for seq, body in enumerate(bodies, 1)]
    log.upload(hub.store, 0, len(rows), Batch(log.name, 0, len(rows), tuple(rows)))
    hub.run()
    rows = ask("SELECT state, unreadable FROM rollups_by_stream WHERE start IS NOT NULL")
    assert {row["state"] for row in rows} == before
    assert sum(row["unreadable"] for row in rows) == 3


@pytest.mark.slow
def test_other_kinds_are_told_apart_or_refused(fleet, ask):
    with pytest.raises(UserMustActError, match="GROUP BY data_path"):
        ask("SELECT rollup(data_state) FROM rollups")


@pytest.fixture
def connection():
    connection = duckdb.connect()
    define(connection)
    yield connection
    connection.close()


@pytest.mark.parametrize("state", ["", "&", "AAAA", text(NUMBER, [1.0])[:-4]])
def test_a_state_that_cannot_be_read_is_counted_and_fails_nothing(connection, state):
    told = [state, text(NUMBER, [1.0, 2.0])]
    found = "SELECT rollup(s).count, rollup(s).unreadable FROM (VALUES (?), (?), (NULL)) t(s)"
    assert connection.execute(found, told).fetchone() == (2, 1)
    alone = "SELECT rollup(?).state, rollup_quantile(?, 0.5), rollup_histogram(?)"
    assert connection.execute(alone, [state] * 3).fetchone() == (None, None, None)


NODES = st.lists(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20), min_size=1, max_size=8
)


def test_any_order_gives_the_same_bits(connection):
    @given(NODES, st.randoms(use_true_random=False))
    def merges(nodes, rng):
        told = [text(NUMBER, numbers) for numbers in nodes]
        rng.shuffle(told)
        cut = rng.randint(0, len(told))
        parts = [part for part in (told[:cut], told[cut:]) if part]
        once = [
            connection.execute("SELECT rollup(s).state FROM (SELECT unnest(?) s)", [part]).fetchone()[0]
            for part in parts
        ]
        merged = connection.execute("SELECT rollup(s).state FROM (SELECT unnest(?) s)", [once]).fetchone()[0]
        assert merged == text(NUMBER, [number for numbers in nodes for number in numbers])

    merges()
