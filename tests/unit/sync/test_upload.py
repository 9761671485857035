"""Uploads of real logs to a store in memory, killed and failing anywhere."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import Tier
from skerry_core.batch.contents import AbsentReason
from skerry_core.batch.key import parse_key, resend_key
from skerry_core.errors import RetryError, UserMustActError, WaitError
from skerry_core.store.errors import StoreUnavailableError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.events.follow import Place
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.features.needed import Needed, write_needed
from skerry_edge.inference.intent import boot_id
from skerry_edge.sync import sent_notes, traffic, upload
from skerry_edge.sync.backlog import Backlog
from skerry_edge.sync.outgoing import MAX_ROWS
from skerry_edge.sync.retire import KEEP
from skerry_edge.sync.schedule.plan import HeldReason, Lane
from skerry_edge.sync.sent_notes import SentNotes
from tests.unit.sync.logs import SITE, batches_of
from tests.unit.sync.uploading import Metered, Node

DOWN = StoreUnavailableError("can't be reached")
HOUR = 3600.0


def limited(tier: Tier, **limits):
    """The default policy with a budget for one tier."""
    tiers = tuple(each.model_copy(update=limits) if each.tier is tier else each for each in DEFAULT_POLICY.tiers)
    return DEFAULT_POLICY.model_copy(update={"tiers": tiers})


DEBUG = DEFAULT_POLICY.stream("predictions").model_copy(update={"name": "debug", "tier": Tier.DIAGNOSTICS})
WITH_DEBUG = DEFAULT_POLICY.model_copy(update={"streams": (*DEFAULT_POLICY.streams, DEBUG)})


def test_uploads_everything_once_and_in_order(node):
    node.log.append(MAX_ROWS + 50)
    node.drain()
    assert node.stored == node.log.appended
    count = len(node.outbox.uploads)
    node.drain()
    assert len(node.outbox.uploads) == count <= 3


def test_records_larger_than_those_before_go_in_one_batch_nevertheless(node):
    node.log.append(MAX_ROWS)
    node.drain()
    before = len(node.outbox.uploads)
    node.log.append(200, size=300)
    node.drain()
    assert len(node.outbox.uploads) == before + 1


def test_every_stream_goes_from_both_roots_and_none_that_is_not_its_own(node):
    rollbacks = node.open("rollbacks")
    alerts = node.open("alerts", folder="sync/log")
    stray = node.open("alerts")
    for log in (node.log, rollbacks, alerts, stray):
        log.append(3)
    node.drain()
    assert sorted(node.stored) == sorted([*node.log.appended, *rollbacks.appended, *alerts.appended])


def test_a_stream_that_the_policy_does_not_know_stays(node):
    unknown = node.open("unknown")
    unknown.append(5)
    node.drain()
    assert node.stored == []
    backlog = Backlog(node.uploader, node.scheduler, lambda: node.policy, CollectorRegistry())
    backlog.look(upload.datetime.now(upload.UTC))
    queues = tuple(queue for _, queue in node.uploader.queues().values())
    assert [held.reason for held in node.scheduler.held(queues)] == [HeldReason.NOT_IN_POLICY]


def test_the_note_says_what_the_store_has(node):
    node.log.append(7)
    node.drain()
    noted = json.loads(node.layout.uploaded.read_bytes())
    assert noted == {node.log.epoch: {"stream": "predictions", "acked": 7, "ranges": [], "reach": 7}}


def test_before_inference_ever_ran_there_is_nothing_to_do(tmp_path):
    node = Node(tmp_path)
    node.close()
    for path in node.log.folder.iterdir():
        path.unlink()
    node.log.folder.rmdir()
    node.drain()
    assert node.stored == []


def test_a_lost_note_is_made_good_by_the_listing(node):
    node.log.append(10)
    node.drain()
    node.layout.uploaded.unlink()
    node.restart()
    node.log.append(5)
    node.drain()
    assert node.stored == node.log.appended


def test_a_listing_that_ingest_has_emptied_is_made_good_by_the_note(node):
    node.log.append(10)
    node.drain()
    taken = node.stored
    node.outbox.objects.clear()
    node.restart()
    node.log.append(5)
    node.drain()
    assert taken + node.stored == node.log.appended


def test_a_listing_cut_off_and_a_lost_note_repeat_records_and_lose_none(tmp_path):
    node = Node(tmp_path, Metered(listed=1))
    for _ in range(3):
        node.log.append(10)
        node.drain()
    node.layout.uploaded.unlink()
    node.restart()
    node.drain()
    assert set(node.stored) == set(node.log.appended)
    node.close()


@pytest.mark.parametrize("aside", [False, True])
def test_after_a_lost_note_nothing_that_was_sent_is_called_gone(tmp_path, aside):
    """Else the hub might take that for what is still in the store, and never look at the records."""
    node = Node(tmp_path, Metered(listed=0))
    node.log.append(100)
    node.drain()
    node.retirement._short = lambda: True
    node.retirement.step()
    assert segment_firsts(node.log.folder)[0] > 50
    if aside:
        node.log.close()
        node.log.folder.rename(node.log.folder.with_name(f"predictions@{node.log.epoch}"))
    else:
        node.log.append(5)
    node.layout.uploaded.unlink()
    node.restart()
    node.drain()
    batches = batches_of(node.outbox.objects)
    assert [part for batch in batches for part in batch.absent] == []
    assert set(node.stored) == set(node.log.appended)
    node.close()


def test_a_store_that_is_down_keeps_everything_and_heals_without_a_restart(node):
    node.outbox.fault = DOWN
    node.log.append(30)
    segments = segment_firsts(node.log.folder)
    for _ in range(3):
        node.later(60)
        with pytest.raises(WaitError):
            node.step()
    node.retirement.step()
    assert segment_firsts(node.log.folder) == segments
    assert node.idle()  # for a moment
    node.outbox.fault = None
    node.later(60)
    node.drain()
    assert node.stored == node.log.appended


class Frail(Metered):
    """A store that is reached by a link on which what is large breaks off."""

    most = 40_000

    def __init__(self):
        super().__init__()
        self.broken_off = 0

    def upload(self, key: str, data: bytes) -> None:
        if len(data) > self.most:
            self.broken_off += 1
            self.traffic.sent(len(data))
            raise StoreUnavailableError("broken off")
        super().upload(key, data)


def test_a_link_that_has_become_frail_breaks_off_a_few_batches_only(tmp_path):
    node = Node(tmp_path, Frail())
    node.log.append(2000, size=200)
    while not node.stored:
        node.later(60)
        with suppress(WaitError):
            node.step()
    assert 1 <= node.outbox.broken_off <= 4
    node.close()


def test_a_failure_is_told_once_it_has_lasted_and_no_longer_than_it_lasts(node, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(upload.time, "monotonic", lambda: clock[0])
    node.outbox.fault = DOWN
    node.log.append(3)
    for _ in range(3):
        node.later(60)
        with pytest.raises(WaitError):
            node.step()
        assert node.uploader.failure is None
        clock[0] += upload.PATIENCE / 3
        node.uploader.step(Lane.SHARED)  # it waits for the link, which makes nothing better
    assert node.uploader.failure is DOWN
    node.outbox.fault = None
    node.later(60)
    node.drain()
    assert node.uploader.failure is None


@pytest.mark.slow
def test_the_newest_goes_first_after_an_outage_and_history_drains_beside_it(tmp_path):
    node = Node(tmp_path, policy=limited(Tier.MODEL_FEEDBACK, bytes_per_hour=40_000))
    node.log.append(2000, size=200)
    node.drain()
    assert parse_key(SITE, node.outbox.uploads[0]).last == 2000, "the newest before all else"
    for _ in range(30):
        node.log.append(20, size=200)
        node.later(HOUR / 4)
        node.drain()
    newest = set(node.log.appended[-40:])
    got = set(node.stored)
    assert len(newest & got) >= 20
    assert node.log.appended[0] in got, "history drains too"
    node.policy = DEFAULT_POLICY
    for _ in range(20):
        node.later(10)
        node.drain()
    assert sorted(node.stored) == sorted(node.log.appended)
    node.close()


def test_a_budget_is_never_exceeded_and_a_batch_is_cut_to_it(tmp_path):
    node = Node(tmp_path, policy=limited(Tier.MODEL_FEEDBACK, bytes_per_hour=20_000))
    node.log.append(1000, size=400)
    used = []
    for _ in range(40):
        before = sum(map(len, node.outbox.objects.values())) + Metered.beside * len(node.outbox.uploads)
        node.drain()
        used.append(sum(map(len, node.outbox.objects.values())) + Metered.beside * len(node.outbox.uploads) - before)
        node.restart()
        node.later(600)
    assert max(sum(used[at : at + 6]) for at in range(35)) <= 20_000
    assert sum(used) > 0.8 * 6 * 20_000
    assert len(set(node.stored)) == len(node.stored) > 100
    node.close()


def test_what_a_power_cut_skipped_costs_no_batches_of_its_own(tmp_path):
    """A million numbers, looked at as if they were records, would use the budget up for years."""
    node = Node(tmp_path, policy=limited(Tier.MODEL_FEEDBACK, bytes_per_hour=30_000))
    node.log.append(210)
    Happening.restart_inference(node, 1)
    node.log.append(1)
    for _ in range(5):
        node.later(HOUR)
        node.drain()
    assert sorted(node.stored) == sorted(node.log.appended)
    assert len(node.outbox.uploads) < 10
    node.close()


def test_a_record_that_no_budget_allows_says_so_and_the_next_policy_lets_it_go(tmp_path):
    node = Node(tmp_path, policy=limited(Tier.MODEL_FEEDBACK, bytes_per_day=12_000))
    node.log.append(1, size=60_000)
    node.drain()
    node.later(HOUR)
    node.drain()
    queues = tuple(queue for _, queue in node.uploader.queues().values())
    (held,) = node.scheduler.held(queues)
    assert held.reason is HeldReason.BUDGET_TOO_SMALL
    assert "raise it" in held.message
    node.policy = DEFAULT_POLICY
    node.drain()
    assert node.stored == node.log.appended
    node.close()


def test_metered_tiers_wait_and_critical_ones_go(node):
    node.policy, node.metered = WITH_DEBUG, True
    node.restart()
    letters, rollbacks = node.open("debug"), node.open("rollbacks")
    letters.append(3)
    rollbacks.append(3)
    node.drain()
    assert node.stored == rollbacks.appended
    node.metered = False
    node.drain()
    assert sorted(node.stored) == sorted(rollbacks.appended + letters.appended)


def test_what_one_log_suffers_from_holds_up_no_other(node, monkeypatch):
    node.policy = WITH_DEBUG
    node.restart()
    letters = node.open("debug")
    node.log.append(5)
    letters.append(5)
    passed = node.uploader._passed

    def judged(stream, batches, now):
        if stream.name == "predictions":
            raise RetryError("ConsentUnreadable", "injected")
        return passed(stream, batches, now)

    monkeypatch.setattr(node.uploader, "_passed", judged)
    monkeypatch.setattr(upload, "PATIENCE", 0.0)
    for _ in range(6):
        node.later(5)
        with suppress(RetryError):
            node.step()
    assert node.stored == letters.appended
    assert node.uploader.failure.reason == "ConsentUnreadable"


def test_records_after_a_power_cut_are_uploaded_and_the_gap_is_accounted_for(node):
    node.log.append(10)
    node.drain()
    node.log.close()
    again = node.open("predictions", boot="after the power cut")
    again.append(10)
    node.drain()
    assert node.stored == node.appended
    found = batches_of(node.outbox.objects)
    assert found[0].last == found[1].after
    assert [absent.reason for absent in found[1].absent] == [AbsentReason.SKIPPED]


def test_a_log_that_was_set_aside_is_sent_under_its_own_epoch_and_removed(node):
    node.log.append(10)
    node.drain()
    node.log.append(10)
    node.log.close()
    aside = node.log.folder.with_name(f"predictions@{node.log.epoch}")
    node.log.folder.rename(aside)
    node.open("predictions").append(5)
    node.drain()
    assert sorted(node.stored) == sorted(node.appended)
    node.retirement.step()
    assert not aside.exists()


@pytest.mark.parametrize("sent", [0, 10])
@pytest.mark.parametrize("restarts", [False, True])
def test_of_a_log_that_expired_aside_the_hub_hears_why_it_never_comes(node, sent, restarts):
    node.log.append(sent)
    node.drain()
    node.log.append(15)
    epoch, before = node.log.epoch, node.stored
    node.log.close()
    node.logs.remove(node.log)
    aside = node.log.folder.with_name(f"predictions@{epoch}")
    node.log.folder.rename(aside)
    live = node.open("predictions")
    if not restarts:
        node.uploader.queues()
    live.expire(days=40)
    assert segment_firsts(aside) == []
    if restarts:
        node.restart()
    live.append(5)
    node.drain()
    assert [one for one in node.stored if one[0] == epoch] == before
    told = [batch for batch in batches_of(node.outbox.objects) if batch.log.epoch == epoch]
    absent = [part for batch in told for part in batch.absent]
    assert [(part.first, part.last, part.reason) for part in absent] == [(sent + 1, sent + 15, AbsentReason.EXPIRED)]
    node.retirement.step()
    assert not aside.exists()


def test_of_a_log_that_expires_aside_bit_by_bit_the_rest_is_sent(node):
    node.log.append(30)
    first, second = segment_firsts(node.log.folder)[:2]
    node.log.close()
    aside = node.log.folder.with_name(f"predictions@{node.log.epoch}")
    node.log.folder.rename(aside)
    live = node.open("predictions")
    ages = {first: 40}

    def some(_directory, closed, *_):
        return [segment for segment in closed if segment.base in ages]

    with patch("skerry_edge.events.retention.expired", some):
        live.expire(days=0)
    assert segment_firsts(aside)[0] == second
    node.drain()
    assert len(node.stored) == 30 - (second - first)
    absent = [part for batch in batches_of(node.outbox.objects) for part in batch.absent]
    assert [(part.first, part.last, part.reason) for part in absent] == [(first, second - 1, AbsentReason.EXPIRED)]


# What was sent stays while there is room for it.


def test_what_was_sent_stays_until_the_stream_needs_the_room(node):
    node.log.append(100)
    node.drain()
    segments = segment_firsts(node.log.folder)
    assert len(segments) > 2
    node.retirement._short = lambda: False
    node.retirement.step()
    assert segment_firsts(node.log.folder) == segments
    streams = tuple(stream.model_copy(update={"max_bytes": 143_000}) for stream in node.policy.streams)
    node.policy = node.policy.model_copy(update={"streams": streams})
    node.retirement.step()
    left = segment_firsts(node.log.folder)
    assert left[-1] == segments[-1]
    assert 1 < len(left) < len(segments)


def test_on_a_short_disk_all_that_was_sent_goes_but_the_open_segment(node):
    node.log.append(100)
    newest = segment_firsts(node.log.folder)[-1]
    node.retirement._short = lambda: True
    node.drain()
    node.retirement.step()
    assert segment_firsts(node.log.folder) == [newest]


def test_what_others_have_to_read_stays(node):
    node.log.append(100)
    node.drain()
    segments = segment_firsts(node.log.folder)
    node.retirement._short = lambda: True
    places = [{"predictions": Place(node.log.epoch, segments[2] - 1)}]
    node.retirement._held = lambda: places
    node.retirement.step()
    assert segment_firsts(node.log.folder) == segments[2:]
    places[0] = {"predictions": Place("another", 10**6)}
    node.retirement.step()
    assert segment_firsts(node.log.folder) == segments[2:]


def wish(node, *, aside=False, epoch=None, seq=0):
    node.layout.features.mkdir(parents=True, exist_ok=True)
    write_needed(node.layout.features, {"predictions": Needed(Place(epoch or node.log.epoch, seq), aside=aside)})


def size_of(folder):
    return sum(segment_path(folder, first).stat().st_size for first in segment_firsts(folder))


def limit(node, max_bytes):
    streams = tuple(stream.model_copy(update={"max_bytes": max_bytes}) for stream in node.policy.streams)
    node.policy = node.policy.model_copy(update={"streams": streams})


def test_what_features_have_to_read_stays_while_there_is_room(node):
    node.log.append(100)
    node.drain()
    segments = segment_firsts(node.log.folder)
    size = size_of(node.log.folder)
    node.retirement._short = lambda: False
    limit(node, int(size / 0.79))
    wish(node, seq=segments[2] - 1)
    node.retirement.step()
    assert segment_firsts(node.log.folder) == segments[2:]
    limit(node, int(size / 2))
    node.retirement.step()
    left = segment_firsts(node.log.folder)
    assert len(left) < len(segments[2:]), "events come before features"
    assert size_of(node.log.folder) > size / 2 * KEEP, "no more goes than must"
    assert node.registry.get_sample_value("skerry_sync_freed_unread_bytes_total", {"stream": "predictions"}) > 0


@pytest.mark.parametrize(("options", "there"), [({"aside": True}, True), ({"epoch": "f" * 16}, False), ({}, True)])
def test_a_log_that_was_set_aside_stays_while_features_have_to_read_it(node, options, there):
    node.log.append(5)
    node.drain()
    epoch = node.log.epoch
    node.log.close()
    node.logs.remove(node.log)
    aside = node.log.folder.with_name(f"predictions@{epoch}")
    node.log.folder.rename(aside)
    node.restart()
    node.open("predictions").append(5)
    node.drain()
    wish(node, **{"epoch": epoch, **options})
    node.retirement._short = lambda: False
    node.retirement.step()
    assert aside.exists() is there
    node.retirement._short = lambda: True
    node.retirement.step()
    assert not aside.exists()


# The hub asks again.


def ask(node, log, first, last):
    node.outbox.objects[resend_key(log, first, last)] = b""
    node.later(400)
    node.resends.step()
    node.drain()


def test_what_the_hub_asks_for_again_is_sent_again_once(node):
    node.log.append(50)
    node.drain()
    (batch,) = batches_of(node.outbox.objects)
    node.outbox.objects.clear()
    node.outbox.uploads.clear()
    ask(node, batch.log, 11, 20)
    (again,) = batches_of(node.outbox.objects)
    assert (again.after, again.last, again.rows) == (10, 20, batch.rows[10:20])
    ask(node, batch.log, 11, 20)
    assert len(node.outbox.uploads) == 1, "an hour is given to the hub"
    node.later(HOUR)
    ask(node, batch.log, 11, 20)
    assert len(node.outbox.uploads) == 2


def test_what_is_gone_is_accounted_for(node):
    node.log.append(100)
    node.drain()
    log = batches_of(node.outbox.objects)[0].log
    node.retirement._short = lambda: True
    node.retirement.step()
    kept = segment_firsts(node.log.folder)[0]
    node.outbox.objects.clear()
    ask(node, log, 1, 100)
    found = batches_of(node.outbox.objects)
    rows = [row.seq for batch in found for row in batch.rows]
    absent = [part for batch in found for part in batch.absent]
    assert rows == list(range(kept, 101))
    assert [(part.first, part.last, part.reason) for part in absent] == [(1, kept - 1, AbsentReason.SHED)]


def test_a_log_that_is_no_longer_here_is_answered_as_gone(node):
    node.log.append(3)
    node.drain()
    log = batches_of(node.outbox.objects)[0].log
    other = type(log)(log.site, log.node, log.stream, "0123456789abcdef")
    ask(node, other, 5, 9)
    (answer,) = [batch for batch in batches_of(node.outbox.objects) if batch.log == other]
    assert (answer.after, answer.last, answer.rows) == (4, 9, ())
    assert answer.absent[0].reason is AbsentReason.EXPIRED


def test_a_log_that_cannot_be_read_is_not_called_gone(node):
    node.log.append(3)
    node.drain()
    log = batches_of(node.outbox.objects)[0].log
    other = type(log)(log.site, log.node, log.stream, "0123456789abcdef")
    damaged = node.layout.log / "damaged"
    damaged.mkdir()
    (damaged / "log.json").write_bytes(b"{")
    ask(node, other, 5, 9)
    assert [batch for batch in batches_of(node.outbox.objects) if batch.log == other] == []


def test_requests_to_other_nodes_and_for_what_was_never_sent_change_nothing(node):
    node.log.append(5)
    node.drain()
    log = batches_of(node.outbox.objects)[0].log
    node.outbox.uploads.clear()
    ask(node, type(log)(log.site, "node-2", log.stream, log.epoch), 1, 5)
    ask(node, log, 100, 200)
    assert node.outbox.uploads == []


# An older state of the disk comes back.


def put_back(node, note=None):
    """An older state of the disk, its log opened by inference; with what sync had noted then, if anything."""
    node.log.close()
    for path in node.log.folder.iterdir():
        if path.suffix == ".seg" and int(path.stem) > 20:
            path.unlink()
    if note is None:
        node.layout.uploaded.unlink()
    else:
        node.layout.uploaded.write_bytes(note)
    reopened = node.open("predictions")
    assert reopened.epoch == node.log.epoch
    return reopened


@pytest.mark.parametrize("grown", [0, 100])
def test_a_store_that_knows_more_than_the_disk_fences_the_log(node, grown):
    """However far it has grown since it was opened, before the store is asked."""
    node.log.append(50)
    node.drain()
    objects = dict(node.outbox.objects)
    reopened = put_back(node)
    reopened.append(2)
    node.restart()
    node.uploader.queues()
    reopened.append(grown)
    node.drain()
    assert node.outbox.objects == objects, "numbers that the store knows name other records now"
    assert json.loads(node.layout.fence.read_bytes())["predictions"]["epoch"] == node.log.epoch
    reopened.close()
    fresh = node.open("predictions")
    assert fresh.epoch != node.log.epoch
    fresh.append(3)
    node.later(100)
    node.drain()
    assert set(fresh.appended) <= set(node.stored)


@pytest.mark.parametrize("grown", [2, 100])
def test_a_log_that_grew_before_it_was_first_looked_at_is_fenced_as_well(node, grown):
    node.log.append(20)
    node.drain()
    note = node.layout.uploaded.read_bytes()
    node.log.append(30)
    node.drain()
    objects = dict(node.outbox.objects)
    reopened = put_back(node, note)
    reopened.append(grown)
    node.restart()
    node.drain()
    assert node.outbox.objects == objects, "numbers that the store knows name other records now"
    assert json.loads(node.layout.fence.read_bytes())["predictions"]["epoch"] == node.log.epoch


def test_a_disk_of_before_anything_was_sent_is_known_as_well(node):
    """However far its log has grown before it is looked at."""
    node.log.append(20)
    node.outbox.fault = DOWN
    with pytest.raises(StoreUnavailableError):
        node.drain()
    note = node.layout.uploaded.read_bytes()
    node.outbox.fault = None
    node.later(100)
    node.log.append(30)
    node.drain()
    objects = dict(node.outbox.objects)
    reopened = put_back(node, note)
    reopened.append(100)
    node.restart()
    node.drain()
    assert node.outbox.objects == objects, "numbers that the store knows name other records now"
    assert json.loads(node.layout.fence.read_bytes())["predictions"]["epoch"] == node.log.epoch


def test_a_log_that_grows_and_is_sent_is_believed_after_a_restart(node):
    """Also where nothing was noted of it after it was on its way."""
    node.log.append(5)
    node.drain()
    for _ in range(3):
        node.log.append(30)
        with patch.object(node.uploader.notes, "note"):
            node.drain()
        node.restart()
    node.drain()
    assert not node.layout.fence.exists()
    assert set(node.stored) == set(node.log.appended)


def test_a_note_that_cannot_be_written_keeps_nothing_from_being_sent(node):
    node.log.append(5)
    with patch.object(node.uploader.notes, "will_reach", side_effect=OSError(28, "No space left on device")):
        node.drain()
    assert node.stored == node.log.appended


def test_a_listing_that_cannot_be_judged_yet_is_kept_until_it_can(node):
    node.log.append(50)
    node.drain()
    reopened = put_back(node)
    reopened.append(2)
    note = reopened.folder / "log.json"
    of_this_boot = note.read_bytes()
    note.write_bytes(of_this_boot.replace(boot_id().encode(), b"boot-before"))
    assert note.read_bytes() != of_this_boot
    node.restart()
    node.drain()
    assert not node.layout.fence.exists()
    note.write_bytes(of_this_boot)
    reopened.append(2)
    node.drain()
    assert json.loads(node.layout.fence.read_bytes())["predictions"]["epoch"] == reopened.epoch


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it and nothing runs after it."""


class Killer:
    """Kills at the n-th of the moments at which a step changes the store or the disk, before or after the change."""

    def __init__(self, node: Node, moment: int):
        self._left = moment
        self._patches = [
            patch.object(node.outbox, "upload", self._deadly(node.outbox.upload)),
            patch.object(sent_notes, "write_file", self._deadly(sent_notes.write_file)),
            patch.object(traffic, "write_file", self._deadly(traffic.write_file)),
            patch.object(Path, "unlink", self._deadly(Path.unlink)),
        ]

    def _deadly(self, action):
        def act(*args, **options):
            self._tick()
            result = action(*args, **options)
            self._tick()
            return result

        return act

    def _tick(self):
        self._left -= 1
        if self._left == 0:
            raise KilledError

    def __enter__(self):
        for each in self._patches:
            each.start()

    def __exit__(self, *_):
        for each in self._patches:
            each.stop()


@pytest.mark.parametrize("moment", range(1, 13))
def test_killed_at_any_moment_of_a_step_it_loses_nothing(tmp_path, moment):
    node = Node(tmp_path, policy=limited(Tier.MODEL_FEEDBACK, bytes_per_hour=1 << 20))
    node.log.append(20)
    node.drain()
    node.log.append(60)
    with suppress(KilledError), Killer(node, moment):
        node.later(HOUR)
        node.step()
        node.retirement.step()
    node.restart()
    node.log.append(5)
    for _ in range(3):
        node.later(HOUR)
        node.drain()
    assert sorted(set(node.stored)) == sorted(node.log.appended)
    node.close()


class Happening:
    """What may happen to a node, as steps of a story."""

    @staticmethod
    def append(node: Node, count: int) -> None:
        node.log.append(count)

    @staticmethod
    def step(node: Node, _: int) -> None:
        with suppress(WaitError):
            node.step()

    @staticmethod
    def kill(node: Node, moment: int) -> None:
        with suppress(KilledError, WaitError), Killer(node, moment):
            node.step()
            node.retirement.step()
        node.restart()

    @staticmethod
    def toggle_outage(node: Node, _: int) -> None:
        node.outbox.fault = None if node.outbox.fault else DOWN

    @staticmethod
    def lose_the_note(node: Node, _: int) -> None:
        node.layout.uploaded.unlink(missing_ok=True)
        node.restart()

    @staticmethod
    def restart_inference(node: Node, count: int) -> None:
        node.log.close()
        appended = node.log.appended
        node.log = node.logs[0] = node.open("predictions", boot=f"boot-{count}")
        del node.logs[-1]
        node.log.appended = appended

    @staticmethod
    def time_passes(node: Node, count: int) -> None:
        node.later(count * 100)

    @staticmethod
    def retire(node: Node, _: int) -> None:
        node.retirement.step()

    @staticmethod
    def be_asked_again(node: Node, count: int) -> None:
        found = batches_of(node.outbox.objects)
        if found:
            node.outbox.objects[resend_key(found[0].log, 1, count)] = b""
        with suppress(WaitError):
            node.resends.step()


happenings = st.sampled_from([getattr(Happening, name) for name in vars(Happening) if not name.startswith("_")])


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(happenings, st.integers(1, 40)), max_size=20),
    st.integers(1, 5),
    st.sampled_from([None, 30_000]),
    st.booleans(),
)
def test_whatever_happens_the_union_of_batches_is_the_log(story, listed, hour, short):
    policy = DEFAULT_POLICY if hour is None else limited(Tier.MODEL_FEEDBACK, bytes_per_hour=hour)
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder), Metered(listed), policy)
        for happen, number in story:
            node.retirement._short = lambda: short
            happen(node, number)
        node.outbox.fault = None
        for _ in range(12):
            node.later(HOUR)
            node.drain()
        assert sorted(set(node.stored)) == sorted(node.log.appended)
        node.close()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"e": 7}', b'{"e": {"stream": "s", "acked": "x", "ranges": []}}'])
def test_a_note_that_cannot_be_read_notes_nothing(tmp_path, data):
    (tmp_path / "uploaded.json").write_bytes(data)
    notes = SentNotes(tmp_path / "uploaded.json")
    assert notes.of("e").acked == 0
    assert notes.reach("e") is None


def test_a_note_of_an_older_version_reaches_as_far_as_it_goes(tmp_path):
    (tmp_path / "uploaded.json").write_bytes(b'{"e": {"stream": "s", "acked": 5, "ranges": [[7, 9]]}}')
    notes = SentNotes(tmp_path / "uploaded.json")
    assert (notes.reach("e"), notes.reach("other")) == (9, 0)


def test_a_batch_that_the_store_refuses_is_the_streams_own_trouble(node):
    node.log.append(5)
    node.outbox.fault = UserMustActError("StoreRefused", "injected")
    with pytest.raises(UserMustActError):
        node.step()
    assert node.scheduler.up


def test_a_head_that_cannot_be_told_for_a_moment_fences_nothing(node):
    node.log.append(20)
    node.drain()
    node.restart()
    node.log.append(5)
    mark = node.log.folder / "durable"
    kept = mark.read_bytes()
    mark.write_bytes(b"being written")
    node.drain()
    assert not node.layout.fence.exists()
    mark.write_bytes(kept)
    node.drain()
    assert node.stored == node.log.appended
