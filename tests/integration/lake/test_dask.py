"""One ingester, three Dask workers, one of them killed while it has work: its share is done by the others, once."""

import os
import signal

import pytest
from distributed import Client

from skerry_operator.ingest.dask_workers import DaskWorkers
from tests.cluster.lab.waiting import wait_for
from tests.integration.lake.dask_cluster import cluster
from tests.integration.lake.feed import Feed, has_all
from tests.integration.lake.process import IngestProcess, running
from tests.integration.lake.test_kills import one_pass


def test_workers_are_counted_whatever_the_clients_timer_does_meanwhile(tmp_path, monkeypatch):
    """It asks for the scheduler without its workers, every two seconds, and may do so between question and answer."""
    ask = Client._update_scheduler_info

    async def as_the_timer_may(client, n_workers=0):
        await ask(client, n_workers=n_workers)
        await ask(client)

    monkeypatch.setattr(Client, "_update_scheduler_info", as_the_timer_may)
    with cluster(tmp_path, 1) as (address, _, joined):
        wait_for("the worker is there", joined, seconds=60, log=tmp_path / "scheduler.log")
        workers = DaskWorkers(address)
        assert workers.shares() == 1
        workers.close()


@pytest.mark.long
def test_a_workers_share_is_done_by_others_when_it_is_killed(place, tmp_path):
    feed = Feed(place.lake, events=1200)

    def upload(start, end):
        for log in feed.logs:
            for after in range(start, end, 200):
                log.upload(place.lake.store, after, min(after + 200, end))

    def written():
        return sum(1 for _ in place.lake.store.list("tables/predictions/day="))

    # The table and its columns, so that what follows is one round of work.
    upload(0, 200)
    assert one_pass(place) == 0
    before = written()

    with cluster(tmp_path, 3) as (address, workers, joined):
        wait_for("three workers are there", joined, seconds=60, log=tmp_path / "scheduler.log")
        # It takes its share like the others, and comes to nothing.
        os.kill(workers[0].pid, signal.SIGSTOP)
        upload(200, feed.events)
        process = IngestProcess({**place.environment, "SKERRY_DASK_SCHEDULER": address}, tmp_path, "ingest")
        with running(process):
            wait_for("the other two are done", lambda: written() == before + 2, seconds=60, log=process.log)
            assert not has_all(feed)
            workers[0].kill()
            wait_for("everything is ingested", lambda: has_all(feed), seconds=60, log=process.log)
            assert written() == before + 3
            # Two are left, and enough.
            upload(feed.events, feed.events + 10)
            feed.events += 10
            wait_for("the rest is ingested", lambda: has_all(feed), seconds=60, log=process.log)
            process.stop()
    feed.check()
