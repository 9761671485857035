from datetime import timedelta

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from skerry_edge.ingest.dedup_watch import DedupWatch
from skerry_edge.ingest.metrics import IngestMetrics
from tests.unit.ingest.worlds import ScriptedLog, event, stream_over

IDS = 1 << 13
DECLARED = 3600.0


def watched():
    registry = CollectorRegistry()
    watch = DedupWatch(IngestMetrics(registry))
    stream, clock = stream_over(ScriptedLog(), dedup_window=timedelta(seconds=DECLARED))

    def look():
        with capture_logs() as logs:
            watch.look({"readings": stream})
        value = registry.get_sample_value("skerry_events_dedup_window_seconds", {"stream": "readings"})
        return value, [line["reason"] for line in logs]

    return stream, clock, look, watch, registry


def test_below_the_bound_the_window_holds_to_its_end():
    stream, clock, look, _, _ = watched()
    stream.accept([event(n) for n in range(IDS - 1)])
    clock[0] = DECLARED - 1
    assert look() == (DECLARED, [])
    assert stream.accept([event(n) for n in range(0, IDS - 1, 97)]).accepted == 0


def test_a_window_that_became_short_is_told_once_and_again_after_it_was_whole():
    stream, clock, look, watch, registry = watched()
    for part in range(3):
        clock[0] = 10.0 * part
        stream.accept([event(f"{part}-{n}") for n in range(IDS // 2)])
    assert look() == (20.0, ["DedupWindowShort"])
    assert stream.accept([event("0-0"), event("1-0"), event("2-0")]).duplicates == 2
    clock[0] = 25.0
    assert look() == (25.0, [])
    clock[0] = DECLARED
    assert look() == (DECLARED, [])
    for part in range(3):
        stream.accept([event(f"again {part}-{n}") for n in range(IDS // 2)])
    assert look()[1] == ["DedupWindowShort"]
    watch.look({})
    assert registry.get_sample_value("skerry_events_dedup_window_seconds", {"stream": "readings"}) is None
