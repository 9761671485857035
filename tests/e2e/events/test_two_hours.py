"""Whatever goes wrong in and after an outage: the hub's table and the devices' ledgers agree, id for id."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skerry_core.batch.flags import Flags
from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.mischief import named
from tests.e2e.events.node_clock import settable
from tests.e2e.events.two_hours import DEVICES, EVENTS, NODE_OFF, SECONDS, STREAM, acknowledged, two_hours
from tests.e2e.faults.world import TOLD_WITHIN

pytestmark = [pytest.mark.lab, pytest.mark.long]

COMES_WITHIN = 600.0  # minutes of a thin link; more where it took longer until the ingest was hit
TOLD_SOON = 60.0


@pytest.fixture
def clock(world, site):
    with settable(site.cluster) as clock:
        yield clock
    world.wait_champion()


@pytest.fixture
def presses(world, clock, site):
    """A policy with the stream, in force on the node."""
    world.story.hub.apply((Path(__file__).parent / "two_hours.yaml").read_text())
    site.wait_stream(STREAM, TOLD_WITHIN)


def test_table_and_ledgers_agree_id_for_id_after_two_hours_of_everything(hub, site, clock, presses):
    with two_hours(site, hub, clock) as past:
        ledger = acknowledged(site)
        meanwhile = {each for each, at in ledger.items() if past.cut.timestamp() < at < past.joined.timestamp()}
        assert (past.seconds >= SECONDS, len(meanwhile) >= EVENTS) == (True, True)
        wait_for("every event is at the hub", lambda: ledger.keys() <= _ids(hub).keys(), seconds=COMES_WITHIN, every=1)
    assert _ids(hub) == dict.fromkeys(ledger, 1)
    # What fills a gap is in the table a moment before the record of gaps says so.
    gaps = f"SELECT * FROM gaps WHERE stream = '{STREAM}'"
    wait_for("no gap is left", lambda: hub.ask(gaps) == [], seconds=TOLD_SOON, every=1)
    _each_fault_was_one(hub, past, meanwhile)


def _ids(hub) -> Counter[str]:
    return Counter(row["id"] for row in hub.ask(f"SELECT id FROM {STREAM}"))


def _each_fault_was_one(hub, past, meanwhile: set[str]) -> None:
    """The link was gone and then poor, uploads came late, the ingest died amidst a commit, clocks were years off."""
    later = hub.ask(f"SELECT id FROM {STREAM} WHERE ingested > '{past.joined.isoformat()}'")
    assert len(meanwhile & {row["id"] for row in later}) > EVENTS * 0.9
    assert (past.held_up > 0, past.lost > 0) == (True, True)
    came = [_first_ingested(hub, span) for span in (past.shuffled.early, *past.shuffled.late)]
    assert min(came[1:]) > came[0]
    assert named(hub, STREAM, [past.uncommitted]) == set()
    behind = datetime.now(UTC) + NODE_OFF / 2
    (off,) = hub.ask(f"""
        SELECT count(*) AS events, bool_and(flags & {Flags.CLOCK_SUSPECT:d} <> 0) AS suspect
        FROM {STREAM} WHERE received < '{behind.isoformat()}'""")
    assert (off["events"] > EVENTS * 0.9, off["suspect"]) == (True, True)
    ahead = datetime.now(UTC) + DEVICES["ahead"] / 2
    devices = hub.ask(
        f"SELECT DISTINCT split_part(id, '-', 1) AS device FROM {STREAM} WHERE time > '{ahead.isoformat()}'"
    )
    assert devices == [{"device": "ahead"}]


def _first_ingested(hub, span: tuple[int, int]) -> datetime:
    first, last = span
    when = hub.one(f"SELECT min(ingested) AS at FROM {STREAM} WHERE seq BETWEEN {first} AND {last}")
    assert isinstance(when, datetime)
    return when
