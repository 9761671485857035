"""Two real ingest processes on one lake, killed again and again, while sites upload: each event is there once."""

import os
import random
import subprocess
import sys
import time

import pytest

from tests.cluster.lab.waiting import wait_for
from tests.integration.lake.feed import Feed, has_all
from tests.integration.lake.process import IngestProcess, running


@pytest.mark.long
def test_two_ingesters_that_are_killed_again_and_again_lose_and_double_nothing(place, tmp_path):
    feed, dice = Feed(place.lake, events=400), random.Random(7)
    processes = [IngestProcess(place.environment, tmp_path, name) for name in ("one", "two")]
    pieces = feed.pieces(length=15)
    with running(*processes):
        kills = 0
        for number, (log, after, last) in enumerate(pieces):
            log.upload(place.lake.store, after, last)
            if number % 12 == 11:
                victim = dice.choice(processes)
                # Somewhere in its work: between a moment after it began to answer and two seconds later.
                wait_for("ingest answers", victim.healthy, seconds=60, log=victim.log)
                time.sleep(dice.random() * 0.6)
                victim.kill()
                victim.start()
                kills += 1
        wait_for("everything is ingested", lambda: has_all(feed), seconds=120, log=processes[0].log)
        for process in processes:
            wait_for("ingest answers", process.healthy, seconds=60, log=process.log)
            process.stop()
    assert kills >= 10
    feed.check()


def test_metrics_tell_what_was_done(place, tmp_path):
    feed = Feed(place.lake, events=40)
    process = IngestProcess(place.environment, tmp_path, "one")
    for log in feed.logs:
        log.upload(place.lake.store, 0, 40)
    with running(process):
        wait_for("all is in", lambda: process.metric("batches_total") == 4, seconds=60, log=process.log)
        wait_for("ingest is well", process.healthy, seconds=10, log=process.log)
        assert process.metric("events_total") == sum(40 - len(log.absent) for log in feed.logs)
        assert process.metric("lag_seconds") > 0
        process.stop()
    feed.check()


def test_a_process_that_is_told_too_little_says_what(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "skerry_operator.ingest"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "SKERRY_STORE_URI is not set" in done.stdout


@pytest.mark.parametrize("value", ["1 day", "-3h"])
def test_a_setting_that_makes_no_sense_is_refused(value, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "skerry_operator.ingest"],
        env={"PATH": os.environ["PATH"], "SKERRY_STORE_URI": tmp_path.as_uri(), "SKERRY_KEEP_BATCHES": value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "SKERRY_KEEP_BATCHES" in done.stdout
