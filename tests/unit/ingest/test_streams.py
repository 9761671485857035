"""Streams over real logs: policies that change, and what a restart remembers."""

import json

import pytest

from skerry_edge.ingest.errors import RefusedError
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.ingest.recall import recall
from skerry_edge.ingest.streams import Streams
from tests.unit.ingest.worlds import NOW, event, event_logs, policy, stored_ids, stream_policy


def streams_of(logs, clock=None, steady=lambda: 0.0):
    return Streams(logs, NodeTime(clock or (lambda: NOW)), steady)


def refused(streams, name):
    with pytest.raises(RefusedError) as error:
        streams.find(name)
    return error.value


def test_streams_follow_the_policy(tmp_path):
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        assert refused(streams, "readings").status == 503
        assert streams.apply(policy(stream_policy(), stream_policy("alarms")))
        stream = streams.find("readings")
        stream.accept([event(1)])
        other = stream_policy(max_rate=5.0)
        assert streams.apply(policy(other, stream_policy("doors")))
        assert streams.find("readings") is stream
        assert stream.policy == other
        assert logs.status()["readings"].next_seq == 2
        gone = refused(streams, "alarms")
        assert gone.status == 404
        assert str(gone).endswith("consent, doors, labels, readings")
        assert set(streams.open_streams()) == {"consent", "doors", "labels", "readings"}


@pytest.mark.parametrize(
    "name", ["predictions", "rollbacks", "dead-letter", "alerts", "telemetry", "", "x" * 100, "../a"]
)
def test_streams_that_nobody_else_writes(tmp_path, name):
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        assert refused(streams, name).status == 404


def test_a_stream_that_can_not_be_opened_is_tried_again(tmp_path):
    with event_logs(tmp_path) as logs:
        (tmp_path / "readings").write_text("in the way")
        streams = streams_of(logs)
        wanted = policy(stream_policy(), stream_policy("doors"))
        assert not streams.apply(wanted)
        assert refused(streams, "readings").status == 503
        streams.find("doors").accept([event(1)])
        (tmp_path / "readings").unlink()
        assert streams.apply(wanted)
        assert streams.find("readings").accept([event(1)]).accepted == 1


def test_a_restart_remembers_what_the_log_tells(tmp_path):
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        for n in range(300):
            streams.find("readings").accept([event(f"{n}-{m}") for m in range(3)])
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        stream = streams.find("readings")
        assert len(stream.window) == 900
        receipt = stream.accept([event(f"{n}-{m}") for n in range(300) for m in range(4)])
        assert (receipt.accepted, receipt.duplicates) == (300, 900)
        assert sorted(stored_ids(logs, "readings")) == sorted(f"{n}-{m}" for n in range(300) for m in range(4))


def test_the_window_goes_on_over_a_restart(tmp_path):
    """Ages are those in the log: time that the node was off does not count, and neither does a clock set anew."""
    minute = 60_000_000
    with event_logs(tmp_path) as logs:
        now = [NOW]
        streams = streams_of(logs, lambda: now[0])
        streams.apply(policy(stream_policy()))
        for n in (0, 30, 55, 80):
            now[0] = NOW + n * minute
            streams.find("readings").accept([event(n)])
    with event_logs(tmp_path) as logs:
        steady = [1000.0]
        streams = streams_of(logs, lambda: NOW + 10**6 * minute, lambda: steady[0])
        streams.apply(policy(stream_policy()))
        stream = streams.find("readings")
        assert stream.accept([event(n) for n in (0, 30, 55, 80)]).duplicates == 3
        steady[0] += 36 * 60
        assert stream.accept([event(n) for n in (55, 80)]).duplicates == 2
        steady[0] += 60 * 60
        assert stream.accept([event(30)]).accepted == 1


def test_the_latest_time_in_the_log_is_the_clocks_floor(tmp_path):
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        streams.find("readings").accept([event(1)])
    with event_logs(tmp_path) as logs:
        time = NodeTime(lambda: NOW - 10**9)
        assert not time.read().suspect
        Streams(logs, time, lambda: 0.0).apply(policy(stream_policy()))
        assert time.read().suspect


def test_recall_reads_over_numbers_that_were_never_given_out(tmp_path):
    """After a power cut a million numbers are skipped; ids before them count all the same."""
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        streams.find("readings").accept([event(n) for n in range(10)])
        epoch = streams.find("readings").log.epoch
    note = json.loads((tmp_path / "readings" / "log.json").read_text())
    boots = {key for key, value in note.items() if value == "boot-1"}
    assert boots
    (tmp_path / "readings" / "log.json").write_text(json.dumps({**note, **dict.fromkeys(boots, "boot-0")}))
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        stream = streams.find("readings")
        assert stream.log.epoch == epoch
        assert stream.accept([event(n) for n in range(10)]).duplicates == 10
        assert stream.accept([event(11)]).first > 1 << 20


def test_recall_stops_at_so_many(tmp_path):
    with event_logs(tmp_path, segment_bytes=4096) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        for n in range(100):
            streams.find("readings").accept([event(f"{n}-{m}") for m in range(5)])
        recalled = recall(logs.directory("readings"), 10**12, 120)
    assert list(recalled.seqs) == list(range(381, 501))


def test_a_clock_that_was_set_back_makes_no_restart_forget_newer_ids(tmp_path):
    year = 365 * 86400 * 10**6
    with event_logs(tmp_path, segment_bytes=4096) as logs:
        for clock in (NOW + year, NOW):
            streams = streams_of(logs, lambda clock=clock: clock)
            streams.apply(policy(stream_policy()))
            for n in range(50):
                streams.find("readings").accept([event(f"{clock}-{n}")])
        recalled = recall(logs.directory("readings"), 10**9, 1000)
    assert list(recalled.seqs) == list(range(1, 101))
    assert recalled.latest == NOW + year


def test_recall_of_what_is_not_there(tmp_path):
    recalled = recall(tmp_path / "nothing", 10**9, 100)
    assert (len(recalled.keys), recalled.latest) == (0, 0)


@pytest.mark.parametrize("most", [3, 10, 500])
def test_what_a_restart_remembers_is_told(tmp_path, most):
    times = iter(range(NOW, NOW + 10**9, 1000))
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs, lambda: next(times))
        streams.apply(policy(stream_policy()))
        for n in range(10):
            streams.find("readings").accept([event(n)])
    recalled = recall(tmp_path / "readings", 10**9, most)
    assert recalled.reach == (recalled.ages[0] if most < 10 else 10**9)
    assert len(recalled.keys) == min(most, 10)


def test_ids_of_records_that_are_gone_are_not_claimed_to_be_remembered(tmp_path):
    with event_logs(tmp_path) as logs:
        streams = streams_of(logs)
        streams.apply(policy(stream_policy()))
        streams.find("readings").accept([event(1)])
        assert streams.find("readings").dedup_reach == stream_policy().dedup_window
    first, *_ = sorted(path for path in (tmp_path / "readings").iterdir() if path.name.startswith("0"))
    first.rename(first.with_name(first.name.replace("1.", "9.", 1)))
    assert recall(tmp_path / "readings", 10**9, 10).reach == 0
