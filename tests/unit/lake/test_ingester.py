"""Batches into tables on a folder: in any order, twice, damaged, with holes, and what is left afterwards."""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.dataset
import pytest

from skerry_core.batch.contents import Batch, Row
from skerry_core.batch.flags import Flags
from skerry_core.batch.limits import Limits
from skerry_core.errors import WaitError
from skerry_operator.ingest import ingester, part, upkeep
from skerry_operator.ingest.listing import SITES, read_listing
from skerry_operator.ingest.table import CommitConflictError, LakeTable
from skerry_operator.ingest.upkeep import delete_batches
from tests.unit.lake.batches import START, SiteLog

LOG = SiteLog()
EVERY = list(range(1, 13))
PIECES = [(0, 4), (2, 7), (7, 9), (8, 12)]


@pytest.mark.slow
@pytest.mark.parametrize("order", list(permutations(PIECES))[::5])
def test_each_event_is_there_once_in_whatever_order_batches_come(hub, order):
    for after, last in order:
        LOG.upload(hub.store, after, last)
        assert hub.run()
    assert hub.seqs() == EVERY
    assert hub.metric("events_total", site="berlin", stream="predictions") == len(EVERY)


def test_what_was_ingested_is_not_ingested_again_by_who_comes_later(hub):
    LOG.upload(hub.store, 0, 12)
    assert hub.run()
    assert hub.another().run_once()
    assert hub.seqs() == EVERY


def test_rows_say_whose_they_are_and_when(hub):
    LOG.upload(hub.store, 0, 2)
    hub.run()
    row = hub.rows(seq=2)[0]
    at = datetime.fromtimestamp((START + 2_000_000) / 1e6, UTC)
    assert {name: row[name] for name in ("site", "node", "epoch", "subject", "id", "data_bar", "set_aside")} == {
        "site": "berlin",
        "node": "node-1",
        "epoch": "e1",
        "subject": "press-2",
        "id": "node-1-2",
        "data_bar": 0.5,
        "set_aside": None,
    }
    assert (row["time"], row["received"], row["ingested"]) == (at, at + timedelta(microseconds=10), hub.clock.now)
    assert row["hlc"] == ((START + 2_000_000) // 1000) << 16
    assert "specversion" not in row


def test_streams_have_tables_of_their_own(hub):
    for stream in ("predictions", "alerts", "dead-letter"):
        SiteLog(stream=stream).upload(hub.store, 0, 3)
    hub.run()
    assert [hub.seqs(stream) for stream in ("predictions", "alerts", "dead-letter")] == [[1, 2, 3]] * 3


def bodied(after, *bodies):
    rows = tuple(Row(after + n, n, START, START, 0, body) for n, body in enumerate(bodies, start=1))
    return Batch(LOG.name, after, after + len(bodies), rows)


def upload(hub, after, *bodies):
    encoded = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    LOG.upload(hub.store, after, after + len(bodies), bodied(after, *encoded))


def test_new_members_are_new_columns(hub):
    upload(hub, 0, {"model": "m", "latency": 1})
    hub.run()
    upload(hub, 1, {"model": "m", "latency": 1.5, "pair": {"rows": 3, "ok": True}, "scores": [1, 2.5]})
    hub.run()
    rows = sorted(hub.rows(), key=lambda row: row["seq"])
    columns = ("model", "latency", "pair_rows", "pair_ok", "scores", "set_aside")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("m", 1.0, None, None, None, None),
        ("m", 1.5, 3.0, True, [1.0, 2.5], None),
    ]


def test_what_does_not_fit_is_kept_whole_with_the_reason(hub):
    upload(hub, 0, {"bar": 1, "name": "a"})
    hub.run()
    odd = {"bar": "broken", "name": "b"}
    upload(hub, 1, odd, {"bar": 2, "name": "c"}, b"[1]")
    hub.run()
    rows = {row["seq"]: row for row in hub.rows()}
    assert [rows[seq]["name"] for seq in (1, 2, 3, 4)] == ["a", None, "c", None]
    assert rows[2]["set_aside"] == "bar: the column holds numbers that a float holds exactly"
    assert json.loads(rows[2]["body"]) == odd
    assert (rows[4]["set_aside"], rows[4]["body"]) == ("the body is no JSON object", "[1]")
    assert rows[3]["body"] is None
    assert hub.metric("set_aside_events_total", stream="predictions") == 2


def test_a_damaged_batch_delays_no_other_and_is_asked_for_again(hub):
    key = LOG.upload(hub.store, 3, 6)
    whole = b"".join(hub.store.get(key))
    LOG.upload(hub.store, 0, 3)
    LOG.upload(hub.store, 6, 12)
    hub.store.put(key, whole[:-7])
    assert hub.run()
    assert hub.seqs() == [1, 2, 3, *range(7, 13)]
    assert hub.keys("damaged/") == [f"damaged/{key}", f"damaged/{key}.reason"]
    assert b"".join(hub.store.get(f"damaged/{key}")) == whole[:-7]
    request = "sites/berlin/resend/node-1/predictions/e1/00000000000000000004-00000000000000000006"
    assert hub.keys("sites/berlin/resend/") == [request]
    assert hub.metric("damaged_batches_total", stream="predictions") == 1
    LOG.upload(hub.store, 3, 6)
    assert hub.run()
    assert hub.seqs() == EVERY
    assert hub.keys("sites/berlin/resend/") == []
    assert sorted(hub.gaps()) == [(4, 6, "Damaged"), (4, 6, "Filled"), (4, 6, "Open")]


def test_a_batch_whose_bodies_cannot_be_told_is_set_aside_once(hub, monkeypatch):
    """Its columns can be read: what can't is the text that a row that doesn't fit is kept with."""
    monkeypatch.setattr(part, "DEFAULT_LIMITS", Limits(max_bytes=150))
    upload(hub, 0, {"bar": 1})
    assert hub.run()
    upload(hub, 1, *({"bar": "not a number", "n": n} for n in range(9)))
    for _ in range(3):
        assert hub.run()
    assert len(hub.keys("damaged/")) == 2
    assert [state for *_, state in hub.gaps()] == ["Damaged"]
    assert hub.metric("damaged_batches_total", stream="predictions") == 1


REQUEST = "sites/berlin/resend/node-1/predictions/e1/00000000000000000001-00000000000000000003"


class Killed(BaseException):
    pass


@pytest.mark.parametrize("steps", range(4))
def test_killed_anywhere_a_damaged_batch_is_asked_for_and_its_answer_stays(hub, monkeypatch, steps):
    key = LOG.upload(hub.store, 0, 3)
    hub.store.put(key, b"damaged")
    left, answers = [steps], []

    def mortal(name):
        real = getattr(type(hub.store), name)

        def does(store, at, *more):
            if at.startswith(("damaged/", key, "sites/berlin/resend/")):
                if not left[0]:
                    raise Killed
                left[0] -= 1
            real(store, at, *more)
            if not answers and hub.keys("sites/berlin/resend/"):
                # The site answers at once.
                answers.append("")
                answers[0] = LOG.upload(hub.store, 0, 3)

        return does

    with monkeypatch.context() as patch:
        for name in ("put", "delete"):
            patch.setattr(type(hub.store), name, mortal(name))
        with suppress(Killed):
            hub.run()
    assert left[0] == 0
    hub.ingester = hub.another()
    assert hub.run()
    if not answers:
        assert hub.keys("sites/berlin/resend/") == [REQUEST]
        answers.append(LOG.upload(hub.store, 0, 3))
        assert hub.run()
    assert hub.seqs() == [1, 2, 3]
    assert hub.keys("sites/berlin/resend/") == []
    assert answers[0] in hub.keys("sites/berlin/events/")


@pytest.mark.parametrize("step", ["damaged/", "sites/berlin/resend/", "sites/berlin/events/"])
def test_who_comes_late_to_a_damaged_batch_takes_nothing_that_came_since(hub, monkeypatch, step):
    """Two ingesters have found it; one is done with it, and its site has answered, before the other goes on."""
    key = LOG.upload(hub.store, 0, 3)
    hub.store.put(key, b"damaged")
    rival, late = hub.another(), []

    def overtaken(name):
        real = getattr(type(hub.store), name)

        def does(store, at, *more):
            if at.startswith(step) and not late:
                late.append(at)
                assert rival.run_once()
                LOG.upload(hub.store, 0, 3)
            real(store, at, *more)

        return does

    with monkeypatch.context() as patch:
        for name in ("put", "delete"):
            patch.setattr(type(hub.store), name, overtaken(name))
        assert hub.run()
    assert len(late) == 1
    assert hub.run()
    assert hub.seqs() == [1, 2, 3]
    assert hub.keys("sites/berlin/resend/") == []


@pytest.mark.parametrize("what", ["another site's", "other positions"])
def test_a_batch_that_is_not_what_its_key_says_is_damaged(hub, what):
    batch = SiteLog(site="rome").batch(0, 3) if what == "another site's" else LOG.batch(0, 2)
    key = LOG.upload(hub.store, 0, 3, batch)
    hub.run()
    assert hub.rows() == []
    assert hub.keys("damaged/")[0] == f"damaged/{key}"


def test_a_gap_is_asked_for_given_up_and_filled_once_all_the_same(hub):
    LOG.upload(hub.store, 0, 4)
    LOG.upload(hub.store, 9, 12)
    hub.run()
    assert hub.seqs() == [1, 2, 3, 4, 10, 11, 12]
    assert hub.keys("sites/berlin/resend/") == []
    hub.clock.pass_(minutes=2)
    hub.run()
    assert hub.keys("sites/berlin/resend/") == [
        "sites/berlin/resend/node-1/predictions/e1/00000000000000000005-00000000000000000009"
    ]
    hub.clock.pass_(days=7)
    # A new process has it from the record.
    hub.ingester = hub.another()
    hub.run()
    assert hub.metric("open_gaps", stream="predictions", state="Lost") == 1
    for _ in range(2):
        LOG.upload(hub.store, 4, 9)
        hub.run()
    assert hub.seqs() == EVERY
    assert hub.keys("sites/berlin/resend/") == []
    assert hub.gaps() == [(5, 9, "Open"), (5, 9, "Lost"), (5, 9, "Filled")]


def test_batches_go_when_they_have_been_in_for_long_enough(hub):
    LOG.upload(hub.store, 0, 4)
    hub.run()
    hub.clock.pass_(hours=23, minutes=50)
    LOG.upload(hub.store, 4, 6)
    hub.run()
    hub.run()
    assert len(hub.keys("sites/")) == 2
    hub.clock.pass_(minutes=11)
    hub.run()
    # Commits carry the real time, so both are old now; what was never ingested is not.
    assert hub.keys("sites/") == []
    assert hub.metric("deleted_batches_total", stream="predictions") == 2
    hub.run()
    assert hub.seqs() == [1, 2, 3, 4, 5, 6]


def test_a_batch_that_waits_is_never_deleted(hub):
    key = LOG.upload(hub.store, 0, 4)
    table = hub.ingester._table("predictions")
    table.snapshot()
    listed = read_listing(hub.store.list(SITES)).batches["predictions"]
    hub.clock.pass_(days=3)
    assert delete_batches(hub.store, table, listed, timedelta(hours=1), hub.clock.now) == 0
    assert hub.keys("sites/") == [key]


def test_what_sites_say_is_absent_is_recorded_once(hub, monkeypatch):
    log = SiteLog(absent=frozenset({3, 7, 8}))
    log.upload(hub.store, 0, 5)
    log.upload(hub.store, 5, 9)
    commit = LakeTable.commit

    def fails_after_absences(table, snapshot, files, ledgers):
        if table.name == "predictions":
            raise WaitError("Cut", "the process ends here")
        commit(table, snapshot, files, ledgers)

    monkeypatch.setattr(LakeTable, "commit", fails_after_absences)
    assert not hub.run()
    assert hub.seqs() == []
    monkeypatch.undo()
    assert hub.another().run_once()
    log.upload(hub.store, 2, 12)
    assert hub.another().run_once()
    assert hub.seqs() == [1, 2, 4, 5, 6, 9, 10, 11, 12]
    absent = [(row["first"], row["last"], row["reason"], row["stream"]) for row in hub.rows("_absent")]
    assert sorted(absent) == [(seq, seq, "Sampled", "predictions") for seq in (3, 7, 8)]


def test_a_lost_race_starts_again_from_the_winners_state(hub, monkeypatch):
    LOG.upload(hub.store, 0, 6)
    rival, commit, raced = hub.another(), LakeTable.commit, []

    def loses(table, snapshot, files, ledgers):
        if not raced:
            raced.append(table.name)
            assert rival.run_once()
        commit(table, snapshot, files, ledgers)

    monkeypatch.setattr(LakeTable, "commit", loses)
    LOG.upload(hub.store, 6, 12)
    assert hub.run()
    assert hub.seqs() == EVERY
    assert hub.metric("commit_conflicts_total", stream="predictions") == 1


def test_races_without_end_are_told_and_lose_nothing(hub, monkeypatch):
    LOG.upload(hub.store, 0, 6)

    def always(table, snapshot, files, ledgers):
        raise CommitConflictError(table.name)

    monkeypatch.setattr(LakeTable, "commit", always)
    assert not hub.run()
    assert hub.metric("failures_total", stream="predictions", reason="CommitConflict") == 1
    monkeypatch.undo()
    assert hub.run()
    assert hub.seqs() == [1, 2, 3, 4, 5, 6]


def test_a_stream_that_fails_delays_no_other(hub):
    LOG.upload(hub.store, 0, 3)
    SiteLog(stream="alerts").upload(hub.store, 0, 3)
    hub.store.put("tables/alerts/_delta_log/00000000000000000000.json", b"not json")
    assert not hub.run()
    assert hub.seqs() == [1, 2, 3]
    assert hub.metric("failures_total", stream="alerts", reason="LakeUnavailable") == 1


def test_names_that_one_site_invents_keep_out_no_streams_of_the_others(hub, monkeypatch):
    """Neither Skerry's own, nor those that there are, nor those that more sites have."""
    monkeypatch.setattr(ingester, "MAX_STREAMS", 3)
    SiteLog(site="rome", stream="vibration").upload(hub.store, 0, 2)
    assert hub.run()
    for number in range(5):
        SiteLog(site="evil", stream=f"a{number}").upload(hub.store, 0, 2)
    for site in ("rome", "berlin"):
        for stream in ("pressure", "vibration", "telemetry", "predictions"):
            SiteLog(site=site, stream=stream).upload(hub.store, 2, 4)
    assert hub.run()
    for stream in ("pressure", "vibration", "telemetry", "predictions"):
        assert len(hub.rows(stream, site="rome")) >= 2, stream
        assert len(hub.rows(stream, site="berlin")) == 2, stream
    assert [hub.seqs(f"a{number}") for number in range(5)] == [[1, 2], [], [], [], []]


def test_names_that_come_later_make_no_more_tables_than_allowed(hub, monkeypatch):
    """Batches leave the store once they are in, so the names of one moment say nothing of how many tables there are."""
    monkeypatch.setattr(ingester, "MAX_STREAMS", 2)
    for number in range(4):
        key = SiteLog(stream=f"b{number}").upload(hub.store, 0, 2)
        assert hub.run()
        hub.store.delete(key)
    assert hub.another().run_once()
    assert sorted(name for name in hub.lake.names() if name.startswith("b")) == ["b0", "b1"]
    SiteLog(stream="b1").upload(hub.store, 2, 4)
    assert hub.another().run_once()
    assert hub.seqs("b1") == [1, 2, 3, 4]


def test_a_stream_that_meets_a_fault_of_ours_delays_no_other(hub, monkeypatch):
    LOG.upload(hub.store, 0, 3)
    SiteLog(stream="alerts").upload(hub.store, 0, 3)
    step = ingester.step

    def faulty(lake, table, *more):
        if table.name == "alerts":
            raise ZeroDivisionError
        return step(lake, table, *more)

    monkeypatch.setattr(ingester, "step", faulty)
    assert not hub.run()
    assert hub.seqs() == [1, 2, 3]
    assert hub.metric("failures_total", stream="alerts", reason="Unexpected") == 1
    monkeypatch.undo()
    assert hub.run()
    assert hub.seqs("alerts") == [1, 2, 3]


def test_retention_deletes_old_rows_and_no_others(hub):
    old, new = (SiteLog(stream="telemetry", node=node) for node in ("old", "new"))
    day = 86_400_000_000
    now = round(hub.clock.now.timestamp() * 1e6)
    for log, at in ((old, now - 31 * day), (new, now)):
        rows = tuple(Row(seq, seq, at, at, 0, b'{"x":1}') for seq in (1, 2))
        log.upload(hub.store, 0, 2, Batch(log.name, 0, 2, rows))
    hub.run()
    hub.run()
    assert hub.seqs("telemetry", node="old") == []
    assert hub.seqs("telemetry", node="new") == [1, 2]
    hub.clock.pass_(days=31)
    hub.run()
    assert hub.rows("telemetry") == []
    # What retention deleted doesn't come back.
    hub.another().run_once()
    assert hub.rows("telemetry") == []


def test_a_row_of_a_wrong_clock_stays_for_as_long_as_the_hub_has_had_it(hub):
    log, day = SiteLog(stream="telemetry"), 86_400_000_000
    years_ago = round(hub.clock.now.timestamp() * 1e6) - 2_000 * day
    rows = (Row(1, 1, years_ago, years_ago, Flags.CLOCK_SUSPECT, b"{}"), Row(2, 2, years_ago, years_ago, 0, b"{}"))
    log.upload(hub.store, 0, 2, Batch(log.name, 0, 2, rows))
    hub.run()
    hub.run()
    assert hub.seqs("telemetry") == [1]
    version = hub.lake.open("telemetry").version()
    hub.run()
    assert hub.lake.open("telemetry").version() == version
    hub.clock.pass_(days=31)
    hub.run()
    assert hub.rows("telemetry") == []


@pytest.mark.slow
def test_small_files_are_put_together_and_nothing_changes(hub):
    for seq in range(20):
        LOG.upload(hub.store, seq, seq + 1)
        hub.run()
    before = len([key for key in hub.keys("tables/predictions/day=") if key.endswith(".parquet")])
    hub.clock.pass_(minutes=11)
    hub.run()
    table = hub.lake.open("predictions")
    assert before == 20
    assert len(table.file_uris()) == 1
    assert hub.seqs() == list(range(1, 21))
    LOG.upload(hub.store, 15, 25)
    hub.another().run_once()
    assert hub.seqs() == list(range(1, 26))


def test_strange_keys_are_passed_over(hub):
    LOG.upload(hub.store, 0, 3)
    for key in ("sites/berlin/else", "sites/Berlin_/events/a", "sites/berlin/events/n/_absent/e/1-2.jsonl.zst"):
        hub.store.put(key, b"?")
    assert hub.run()
    assert hub.seqs() == [1, 2, 3]
    assert "tables/_absent" not in " ".join(hub.keys("tables/"))


def test_other_readers_find_rows_by_columns_that_are_null_elsewhere(hub):
    """deltalake's own Arrow dataset, as pandas users read: statistics must not hide rows from it."""
    upload(hub, 0, {"model": "a", "text": "x" * 500})
    hub.run()
    upload(hub, 1, {"model": None, "other": "z"}, {"model": "b", "text": "y" * 500})
    hub.run()
    dataset = hub.lake.open("predictions").to_pyarrow_dataset()
    field = pyarrow.dataset.field
    for found, seqs in (
        (field("model") == "a", [1]),
        (field("model").is_null(), [2]),
        (field("other") == "z", [2]),
        (field("text") == "x" * 500, [1]),
        (field("text") > "x" * 501, [3]),
        (field("set_aside").is_null(), [1, 2, 3]),
    ):
        assert sorted(dataset.to_table(filter=found)["seq"].to_pylist()) == seqs


def test_files_that_no_commit_names_go_after_a_while_and_tables_keep_theirs(hub):
    LOG.upload(hub.store, 0, 3)
    hub.run()
    folder = Path(urlsplit(hub.lake.uri).path)
    for name, hours in (("old", 30), ("young", 2)):
        hub.store.put(f"tables/predictions/day=2026-11-01/part-{name}.parquet", b"a killed ingester left it")
        at = time.time() - hours * 3600
        os.utime(folder / f"tables/predictions/day=2026-11-01/part-{name}.parquet", (at, at))
    hub.clock.pass_(hours=7)
    hub.run()
    hub.run()
    assert hub.keys("tables/predictions/day=2026-11-01/") == ["tables/predictions/day=2026-11-01/part-young.parquet"]
    assert hub.seqs() == [1, 2, 3]


@pytest.mark.slow
def test_a_compaction_in_between_costs_an_append_one_more_try(hub, monkeypatch):
    for seq in range(16):
        LOG.upload(hub.store, seq, seq + 1)
        hub.run()
    commit, raced = LakeTable.commit, []

    def loses(table, snapshot, files, ledgers):
        if not raced:
            raced.append(upkeep.compact(hub.lake, table))
        commit(table, snapshot, files, ledgers)

    monkeypatch.setattr(LakeTable, "commit", loses)
    LOG.upload(hub.store, 16, 20)
    assert hub.run()
    assert raced == [True]
    assert hub.seqs() == list(range(1, 21))
    assert hub.metric("commit_conflicts_total", stream="predictions") == 1


@pytest.mark.slow
def test_a_compaction_that_an_append_overtakes_is_made_all_the_same(hub):
    for seq in range(16):
        LOG.upload(hub.store, seq, seq + 1)
        hub.run()
    stale = hub.lake.open("predictions")
    LOG.upload(hub.store, 16, 20)
    hub.run()
    stale.optimize.compact()
    assert len(hub.lake.open("predictions").file_uris()) == 2
    assert hub.seqs() == list(range(1, 21))
    assert hub.another().run_once()
    assert hub.seqs() == list(range(1, 21))


def test_a_store_in_which_nothing_changes_is_listed_and_no_table_read(hub, monkeypatch):
    LOG.upload(hub.store, 0, 3)
    LOG.upload(hub.store, 5, 8)
    hub.run()
    opened = []
    monkeypatch.setattr(LakeTable, "snapshot", lambda table: opened.append(table.name))
    assert hub.run()
    hub.clock.pass_(minutes=5)
    assert hub.run()
    assert opened == []
    # Gaps are followed all the same.
    assert len(hub.keys("sites/berlin/resend/")) == 1


def test_an_ingester_that_is_overtaken_by_another_finds_nothing_left(hub):
    LOG.upload(hub.store, 0, 3)
    hub.run()
    LOG.upload(hub.store, 3, 6)
    assert hub.another().run_once()
    assert hub.run()
    LOG.upload(hub.store, 6, 9)
    assert hub.run()
    assert hub.seqs() == list(range(1, 10))
