from datetime import UTC, datetime, timedelta

from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport, SiteAssignmentStatus
from skerry_operator.link.outbox import Outbox

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def status(phase=ModelPhase.SERVING, requests=0, at=NOW):
    report = ModelReport(namespace="demo", model="har", phase=phase, requests=requests)
    return SiteAssignmentStatus(reported_at=at, models=(report,))


def test_counters_and_time_alone_are_no_news():
    outbox = Outbox()
    assert outbox.put(status())
    assert not outbox.put(status(requests=100, at=NOW + timedelta(seconds=3)))
    assert outbox.put(status(ModelPhase.ROLLED_BACK))


def test_news_are_taken_at_once_and_the_newest_is_what_is_taken():
    outbox = Outbox()
    outbox.put(status(ModelPhase.CANARY))
    outbox.put(newest := status(ModelPhase.SERVING))
    assert outbox.take(timeout=60) is newest


def test_without_news_the_heartbeat_takes_the_newest():
    outbox = Outbox()
    outbox.put(status())
    outbox.take(timeout=60)
    outbox.put(newest := status(requests=5))
    assert outbox.take(timeout=0) is newest


def test_there_is_nothing_to_take_before_the_first_report():
    assert Outbox().take(timeout=0) is None
