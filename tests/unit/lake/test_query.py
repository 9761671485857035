"""The ready views answer what they say, and a query can do nothing but read."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from skerry_core.batch.contents import Batch, Row
from skerry_core.errors import UserMustActError
from skerry_operator.cli.main import app
from skerry_operator.ingest.views import VIEWS
from tests.unit.lake.batches import START, SiteLog

LATER = 60_000_000


@pytest.fixture
def filled(hub):
    """Two sites: one with an absent event and a gap, one with two models and an event that doesn't fit."""
    berlin = SiteLog(stream="presses", absent=frozenset({3}))
    berlin.upload(hub.store, 0, 5)
    berlin.upload(hub.store, 8, 10)
    rome = SiteLog(site="rome")
    bodies = [
        {"namespace": "ns", "model": "press", "version": version, "digest": f"sha256:{version}", "latency": latency}
        for version, latency in (("1.0.0", 0.25), ("1.0.0", 0.75), ("2.0.0", 0.5))
    ]
    bodies[2]["pair"] = {"rows": 4, "disagreements": 1}
    rows = [Row(n, n, START, START + LATER, n, json.dumps(body).encode()) for n, body in enumerate(bodies, start=1)]
    rome.upload(hub.store, 0, 3, Batch(rome.name, 0, 3, tuple(rows)))
    hub.run()
    odd = Row(4, 4, START, START, 0, b'{"latency":"slow"}')
    rome.upload(hub.store, 3, 4, Batch(rome.name, 3, 4, (odd,)))
    key = rome.upload(hub.store, 4, 5)
    hub.store.put(key, b"damaged")
    hub.run()
    return hub


@pytest.mark.slow
def test_a_lake_without_anything_answers_with_nothing(ask):
    for view in VIEWS:
        if view.sql({}) is not None:
            assert ask(f"SELECT * FROM {view.name}") == []


def test_a_streams_table_has_its_columns(filled, ask):
    assert ask("SELECT seq, data_bar FROM presses WHERE seq > 8 ORDER BY seq") == [
        {"seq": 9, "data_bar": 2.25},
        {"seq": 10, "data_bar": 2.5},
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "seqs"),
    [
        ("data_bar = 2.25", [9]),
        ("type = 'measured' AND seq < 3", [1, 2]),
        ("subject = 'press-1' AND site = 'berlin'", [1, 4, 10]),
        ("site > 'berlin'", []),
        ("body IS NULL AND day IS NOT NULL AND epoch = 'e1' AND seq > 9", [10]),
        ("type <> 'measured' OR data_bar IS NULL", []),
        ("received > '2026-11-01T00:00:09Z'", [9, 10]),
        ("ingested < '2026-11-01'", []),
    ],
)
def test_a_filter_finds_the_rows_that_it_describes(filled, ask, where, seqs):
    assert [row["seq"] for row in ask(f"SELECT seq FROM presses WHERE {where} ORDER BY seq")] == seqs


def test_last_events(filled, ask):
    rows = ask("SELECT site, stream, events, epoch(time)::BIGINT AS time FROM last_events")
    assert rows == [
        {"site": "berlin", "stream": "presses", "events": 6, "time": START // 1_000_000 + 10},
        {"site": "rome", "stream": "predictions", "events": 4, "time": START // 1_000_000},
    ]


def test_lag(filled, ask):
    rows = {row["site"]: row for row in ask("SELECT * FROM lag")}
    assert rows["berlin"]["newest_age_s"] > rows["rome"]["newest_age_s"] > 0
    assert 0 < rows["rome"]["way_p50_s"] <= rows["rome"]["way_p95_s"]


def test_gaps_and_damage(filled, ask):
    gaps = ask('SELECT site, stream, "first", "last", missing, state FROM gaps')
    assert gaps == [{"site": "berlin", "stream": "presses", "first": 6, "last": 8, "missing": 3, "state": "Open"}]
    assert [(row["site"], row["first"], row["last"]) for row in ask("SELECT * FROM damaged")] == [("rome", 5, 5)]
    SiteLog(stream="presses").upload(filled.store, 5, 8)
    filled.run()
    assert ask("SELECT * FROM gaps") == []


def test_absent_and_logs(filled, ask):
    absent = ask("SELECT site, stream, reason, events FROM absent")
    assert absent == [{"site": "berlin", "stream": "presses", "reason": "Sampled", "events": 1}]
    rows = ask('SELECT site, events, absent, missing, "last" FROM logs')
    assert rows == [
        {"site": "berlin", "events": 6, "absent": 1, "missing": 3, "last": 10},
        {"site": "rome", "events": 4, "absent": 0, "missing": 0, "last": 4},
    ]


def test_volumes(filled, ask):
    rows = ask("SELECT day::VARCHAR AS day, site, events, set_aside FROM volumes")
    assert rows == [
        {"day": "2026-11-01", "site": "berlin", "events": 6, "set_aside": 0},
        {"day": "2026-11-01", "site": "rome", "events": 4, "set_aside": 1},
    ]


def test_predictions_by_version(filled, ask):
    columns = "model, version, digest, sites, predictions, latency_p50_s, disagreements, compared"
    shared = {"model": "press", "sites": 1}
    first = {"version": "1.0.0", "digest": "sha256:1.0.0", "predictions": 2, "latency_p50_s": 0.5}
    second = {"version": "2.0.0", "digest": "sha256:2.0.0", "predictions": 1, "latency_p50_s": 0.5}
    assert ask(f"SELECT {columns} FROM predictions_by_version ORDER BY version") == [
        {**shared, **first, "disagreements": None, "compared": None},
        {**shared, **second, "disagreements": 1.0, "compared": 4.0},
    ]


def test_set_aside(filled, ask):
    rows = ask("SELECT stream, site, seq, body FROM set_aside")
    assert rows == [{"stream": "predictions", "site": "rome", "seq": 4, "body": '{"latency":"slow"}'}]


def test_an_entitys_events_are_in_causal_order_whatever_order_they_came_in(filled, ask):
    SiteLog(stream="presses").upload(filled.store, 5, 8)
    filled.run()
    rows = ask("SELECT entity, place, seq FROM by_entity WHERE stream = 'presses' ORDER BY entity, place")
    for number in range(3):
        own = [(row["place"], row["seq"]) for row in rows if row["entity"] == f"press-{number}"]
        seqs = [seq for seq in range(1, 11) if seq % 3 == number and seq != 3]
        assert own == list(enumerate(seqs, start=1))


def test_clocks(filled, ask):
    rows = ask("SELECT site, time_missing, time_skewed, clock_suspect FROM clocks WHERE site = 'rome'")
    assert rows == [{"site": "rome", "time_missing": 2, "time_skewed": 2, "clock_suspect": 0}]


def test_a_stream_that_is_called_like_a_view_has_a_table_all_the_same(hub, ask):
    for stream in ("events", "dead-letter", "3d"):
        SiteLog(stream=stream).upload(hub.store, 0, 2)
    hub.run()
    assert ask("SELECT count(*) AS n FROM stream_events") == ask("SELECT count(*) AS n FROM dead_letter") == [{"n": 2}]
    assert ask("SELECT DISTINCT stream FROM events ORDER BY 1") == [
        {"stream": "3d"},
        {"stream": "dead-letter"},
        {"stream": "events"},
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM '/etc/hostname'",
        "COPY presses TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "DELETE FROM presses",
        "DROP VIEW gaps; SELECT * FROM nothing",
        "SELECT * FROM hub",
        "selec",
        "",
    ],
)
def test_a_query_reads_tables_and_does_nothing_else(filled, ask, sql):
    with pytest.raises(UserMustActError, match=r".") as caught:
        ask(sql)
    assert caught.value.reason == "QueryInvalid"


def run(*arguments):
    return CliRunner().invoke(app, ["query", *arguments])


def test_the_command_prints_a_table(filled):
    done = run("SELECT site, seq, data_bar, body FROM presses WHERE seq = 5", "--store", filled.lake.uri)
    assert done.exit_code == 0
    assert done.stdout.split() == ["site", "seq", "data_bar", "body", "berlin", "5", "1.25", "-"]


def test_the_command_prints_json_and_csv(filled):
    sql = "SELECT site, seq, time, data_bar, body FROM presses WHERE seq IN (4, 5) ORDER BY seq"
    rows = [json.loads(line) for line in run(sql, "--store", filled.lake.uri, "--json").stdout.splitlines()]
    assert rows[1] == {"site": "berlin", "seq": 5, "time": "2026-11-01T00:00:05Z", "data_bar": 1.25, "body": None}
    text = run(sql, "--store", filled.lake.uri, "--csv").stdout
    assert list(csv.reader(io.StringIO(text))) == [
        ["site", "seq", "time", "data_bar", "body"],
        ["berlin", "4", "2026-11-01T00:00:04Z", "1.0", ""],
        ["berlin", "5", "2026-11-01T00:00:05Z", "1.25", ""],
    ]


def test_the_command_lists_what_there_is_to_ask(filled):
    lines = [json.loads(line) for line in run("--list", "--store", filled.lake.uri, "--json").stdout.splitlines()]
    views = {
        view.name
        for view in VIEWS
        if not view.sql.__module__.endswith(("telemetry_views", "label_views", "rollup_views"))
    }
    assert {line["name"] for line in lines} == views | {"presses", "predictions"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["SELECT 1", "--list"], "either a query or --list"),
        ([], "either a query or --list"),
        (["SELECT 1", "--json", "--csv"], "exclude each other"),
        (["SELECT nothing"], "nothing"),
    ],
)
def test_the_command_says_what_is_wrong(filled, arguments, says):
    done = run(*arguments, "--store", filled.lake.uri)
    assert done.exit_code != 0
    assert says in done.stderr


def test_without_the_extra_the_command_says_how_to_get_it(filled, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skerry_operator.ingest.query", None)
    done = run("SELECT 1", "--store", filled.lake.uri)
    assert done.exit_code == 1
    assert "pip install 'skerry[ingest]'" in done.stderr
