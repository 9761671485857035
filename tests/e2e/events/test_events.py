"""From a device at a site to a table at the hub: what a policy lets in comes there, once, and nothing else does."""

import json
import time
from collections import Counter

import pytest

from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.device import LINES, encode, event, reading
from tests.e2e.faults.world import SITE, TOLD_WITHIN

pytestmark = [pytest.mark.lab, pytest.mark.long]

COMES_WITHIN = 90.0  # seconds, on a busy machine
CLEAR = ("Ada Nordmann", "+47 22 22 55 55", "afraid of needles")


@pytest.fixture(scope="module", autouse=True)
def begun(world) -> float:
    return time.time()


# -- what comes in ---------------------------------------------------------------------------------------------------


def test_a_policy_that_is_applied_reaches_the_nodes_and_says_so(hub, policy):
    wait_for(
        "the policy's status counts the site",
        lambda: (hub.policy_status().get("sites"), hub.policy_status().get("updatedSites")) == (1, 1),
        seconds=TOLD_WITHIN,
        every=0.5,
    )
    ready = {each["type"]: each for each in hub.policy_status()["conditions"]}["Ready"]
    assert (ready["status"], "1 sites follow it, 1 of them have taken it" in ready["message"]) == ("True", True)


def test_a_stream_of_the_policy_takes_batches_and_lines(hub, site, policy):
    batch = site.send("readings", *(reading(number) | {"id": f"batch-{number}"} for number in range(3)))
    lines = [reading(number) | {"id": f"line-{number}"} for number in range(2)]
    taken = site.post("readings", encode(lines, LINES), LINES)
    assert (batch.status, batch.answer["accepted"]) == (200, 3)
    assert (taken.status, taken.answer["accepted"]) == (200, 2)
    again = site.post("readings", encode(lines, LINES), LINES)
    assert (again.status, again.answer["accepted"], again.answer["duplicates"]) == (200, 0, 2)
    rows = hub.wait(
        "all five events",
        "SELECT any_value(node) AS node FROM readings WHERE id LIKE 'batch-%' OR id LIKE 'line-%' HAVING count(*) = 5",
        COMES_WITHIN,
    )
    assert rows == [{"node": site.cluster.node_name}]


def test_a_stream_that_the_policy_does_not_name_takes_nothing(site, policy):
    refused = site.send("others", reading(1))
    assert (refused.status, refused.answer["error"]) == (404, "UnknownStream")
    assert "consent, labels, readings, traces, visits" in refused.answer["message"]


# -- without a link --------------------------------------------------------------------------------------------------


def test_every_event_and_prediction_acknowledged_without_a_link_is_in_the_tables_once(world, hub, site, outage):
    acknowledged = site.acknowledged()
    meanwhile = [line for line in acknowledged if outage.cut.timestamp() < line.at < outage.joined.timestamp()]
    assert len(meanwhile) > 100
    expected = {each for line in acknowledged for each in line.ids} | {outage.hot_event}
    answered = {each.prediction: each.request for each in world.story.traffic[SITE].entries() if each.prediction}
    wait_for(
        "every event is at the hub",
        lambda: expected <= {row["id"] for row in hub.ask("SELECT id FROM readings")},
        seconds=COMES_WITHIN,
        every=1,
    )
    predictions = "SELECT concat_ws('/', site, node, epoch, seq) AS prediction, request FROM predictions"
    amidst = f"received < '{outage.joined.isoformat()}' AND ingested > '{outage.killed_at.isoformat()}'"
    assert (outage.killed, bool(hub.ask(f"SELECT 1 FROM readings WHERE {amidst} LIMIT 1"))) == ((1, 1), True)
    wait_for(
        "every prediction is at the hub",
        lambda: answered.keys() <= {row["prediction"] for row in hub.ask(predictions)},
        seconds=COMES_WITHIN,
        every=1,
    )
    assert set(Counter(row["id"] for row in hub.ask("SELECT id FROM readings")).values()) == {1}
    told = hub.ask(predictions)
    assert len({row["prediction"] for row in told}) == len(told)
    requests = {row["prediction"]: row["request"] for row in told}
    assert {prediction: requests[prediction] for prediction in answered} == answered


def test_the_alert_overtakes_the_backlog(hub, outage):
    (row,) = hub.wait(
        "the alert",
        f"""
        SELECT alerts.ingested, alerts.data_alert, alerts.data_message, alerts.time = readings.time AS same_time
        FROM alerts JOIN readings ON (alerts.site, alerts.node, alerts.data_epoch, alerts.data_seq)
            = (readings.site, readings.node, readings.epoch, readings.seq)
        WHERE readings.id = '{outage.hot_event}'""",
        COMES_WITHIN,
    )
    assert (row["data_alert"], row["data_message"], row["same_time"]) == ("overheated", "the press is too hot", True)
    backlog = f"received BETWEEN '{outage.cut.isoformat()}' AND '{outage.joined.isoformat()}'"
    (came,) = hub.ask(f"""
        SELECT count(*) AS events, count(*) FILTER (ingested > '{row["ingested"].isoformat()}') AS later
        FROM readings WHERE {backlog}""")
    assert came["later"] > came["events"] / 2


def test_telemetry_of_the_outage_comes_late_with_its_own_time(hub, outage):
    span = f"'{outage.cut.isoformat()}' AND '{outage.joined.isoformat()}'"
    rows = hub.wait(
        "the outage's telemetry",
        f"SELECT type, time, received, ingested FROM telemetry WHERE time BETWEEN {span}",
        COMES_WITHIN,
    )
    assert all(row["ingested"] > outage.joined for row in rows)
    assert all(outage.cut <= row["received"] <= outage.joined for row in rows)


# -- what was lost on the way ----------------------------------------------------------------------------------------


def test_a_batch_that_was_lost_is_asked_for_again(hub, site, policy):
    hub.scale_ingest(0)
    try:
        sent = [_sent_as_one_batch(hub, site, name) for name in ("before", "lost", "after")]
        hub.world.story.platform.store().delete(sent[1])
    finally:
        hub.scale_ingest(1)
    first, last = hub.span(sent[1])
    hub.wait(
        "the gap filled",
        f"""SELECT 1 FROM _gaps WHERE stream = 'readings' AND "first" = {first} AND "last" = {last}
            HAVING list_sort(list(state)) = ['Filled', 'Open']""",
        COMES_WITHIN,
    )
    found = hub.ask("SELECT id, count(*) AS n FROM readings WHERE id LIKE 'gap-%' GROUP BY id ORDER BY id")
    assert found == [{"id": f"gap-{name}", "n": 1} for name in ("after", "before", "lost")]
    assert hub.ask("SELECT * FROM gaps WHERE stream = 'readings'") == []


def _sent_as_one_batch(hub, site, name: str) -> str:
    """Key of the object that has this one event."""
    there = set(hub.keys("readings"))
    assert site.send("readings", reading(1) | {"id": f"gap-{name}"}).status == 200
    wait_for(f"{name} is uploaded", lambda: set(hub.keys("readings")) > there, seconds=COMES_WITHIN)
    (key,) = set(hub.keys("readings")) - there
    return key


# -- personal data ---------------------------------------------------------------------------------------------------


def test_personal_data_leaves_only_with_consent_and_never_in_clear(hub, site, policy):
    name, phone, note = CLEAR

    def visit(number: int):
        data = {"name": name, "contact": {"phone": phone}, "note": note, "minutes": 20 + number}
        return event(f"visit-{number}", data, subject="patient-1", kind="example.visit")

    def consent(what: str):
        kind = f"dev.skerry.consent.{what}"
        return event(f"consent-{what}", {"dataClasses": ["personal"]}, subject="patient-1", kind=kind)

    assert site.send("visits", visit(1), visit(2), visit(3)).answer["accepted"] == 3
    assert site.send("consent", consent("granted")).answer["accepted"] == 1
    assert site.send("visits", visit(4), visit(5)).answer["accepted"] == 2
    hub.wait("what there is consent for", "SELECT 1 FROM visits HAVING count(*) = 2", COMES_WITHIN)
    assert site.send("consent", consent("withdrawn")).answer["accepted"] == 1
    assert site.send("visits", visit(6), visit(7)).answer["accepted"] == 2
    hub.wait(
        "all seven accounted for",
        "SELECT 1 FROM logs WHERE stream = 'visits' AND events = 2 AND absent = 5 AND missing = 0",
        COMES_WITHIN,
    )
    assert hub.ask("SELECT reason, events FROM absent WHERE stream = 'visits'") == [{"reason": "Consent", "events": 5}]
    rows = hub.ask("SELECT * FROM visits ORDER BY seq")
    assert [row["id"] for row in rows] == ["visit-4", "visit-5"]
    assert [row["data_minutes"] for row in rows] == [24, 25]
    assert "data_note" not in rows[0]
    hashed = {(row["subject"], row["data_name"], row["data_contact_phone"]) for row in rows}
    assert len(hashed) == 1
    assert all(len(value) == 32 and value not in (*CLEAR, "patient-1") for value in hashed.pop())
    uploaded = b"".join(hub.everything())
    assert not [text for text in CLEAR if json.dumps(text)[1:-1].encode() in uploaded]


# -- afterwards ------------------------------------------------------------------------------------------------------


def test_an_overrun_of_the_outage_is_told_with_cause_and_remedy(hub, outage):
    assert (outage.refused.status, outage.refused.answer["error"]) == (507, "LogFull")
    (row,) = hub.wait(
        "the overrun's end",
        """SELECT * FROM overruns WHERE "limit" = 'StreamFull' AND subject = 'traces' AND ended IS NOT NULL""",
        COMES_WITHIN,
    )
    assert outage.cut <= row["began"] <= outage.joined < row["ended"]
    assert row["cause"] == "LinkDown"
    assert row["remedy"].split()[0] == "LinkBack"
    assert row["refused"] >= 1


def test_whatever_happened_to_events_models_answered_every_request(world, begun, outage):
    asked = world.story.traffic[SITE].since(begun)
    failures = [entry.failure for entry in asked if entry.failure]
    assert asked
    assert not failures, f"{len(failures)} of {len(asked)} requests failed, first: {failures[0]}"
