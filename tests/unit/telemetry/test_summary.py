import json

from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_edge.telemetry.catalogue import COUNTS, DURATIONS, PROCESS_COUNTS, PROCESS_LEVELS, TIERS
from skerry_edge.telemetry.measures import Measures, Snapshot
from skerry_edge.telemetry.sketch import from_wire
from skerry_edge.telemetry.summary import MAX_BYTES, REST, encode, summarize
from tests.unit.telemetry.snapshots import START, disk, queue, snapshot, stream


def told(summary):
    return json.loads(encode(summary))


def test_a_summary_has_its_own_time_and_what_changed():
    before = snapshot(0, counts={("accepted", "plant"): 10, ("latency", "-16"): 4})
    counts = {("accepted", "plant"): 25, ("accepted", "press"): 5, ("latency", "-16"): 6, ("cpuSeconds",): 1.25}
    after = snapshot(60, stream(900) | disk(7) | queue(12, size=3000) | {("memoryBytes",): 4096.0}, counts)
    assert told(summarize(before, after, 7)) == {
        "window": {
            "number": 7,
            "start": "2026-11-18T11:06:40.000Z",
            "end": "2026-11-18T11:07:40.000Z",
            "seconds": 60.0,
        },
        "counts": {"accepted": 20},
        "by": [["accepted", "plant", 15], ["accepted", "press", 5]],
        "sketches": {"latency": [1, -16, 2]},
        "queue": {"records": [0, 0, 0, 0, 12], "bytes": [0, 0, 0, 0, 3000], "oldest": [0, 0, 0, 0, 0]},
        "disk": {"free": 7, "capacity": 107374182400},
        "logs": [["plant", 0, 104857600]],
        "node": {"up": True, "restarted": False, "cpuSeconds": 1.25, "throttledSeconds": 0.0, "memoryBytes": 4096},
    }


def test_a_clock_that_was_set_back_makes_no_window_that_ends_before_it_starts():
    before = snapshot(0)
    after = Snapshot(START - 3_600_000_000, before.uptime + 60_000, "boot-1", before.processes)
    window = summarize(before, after, 1).window
    assert window.start == window.end == START - 3_600_000_000
    assert window.seconds == 60


def test_over_a_reboot_nobody_knows_how_long_it_was():
    assert summarize(snapshot(0), snapshot(9, boot="boot-2"), 1).window.seconds is None


def test_a_process_that_does_not_answer_is_down_and_its_levels_stay():
    before = snapshot(0, queue(5))
    after = Snapshot(START + 60_000_000, before.uptime + 60_000, "boot-1", {})
    summary = told(summarize(before, after, 1))
    assert summary["node"] == {"up": False, "restarted": False}
    assert summary["queue"]["records"][-1] == 5
    assert told(summarize(before, snapshot(60, run="run-2"), 1))["node"]["restarted"] is True


def test_lag_is_told_by_tier():
    counts = {("lagStored", "Bulk", "8"): 3, ("lagStored", "CriticalTelemetry", "0"): 1}
    summary = told(summarize(snapshot(0), snapshot(60, counts=counts), 1))
    assert summary["sketches"] == {"lagStored": {"Bulk": [1, 8, 3], "CriticalTelemetry": [1, 0, 1]}}


NAMES = st.text('abcdefghij-ü"\\\n', min_size=1, max_size=80)
COUNTED = st.sampled_from([count for count in COUNTS if count.by]).flatmap(
    lambda count: st.tuples(st.just(count.name), *(NAMES for _ in count.by))
)
PLAIN = st.sampled_from([(count.name,) for count in COUNTS if not count.by])
BUCKETS = st.sampled_from(DURATIONS).flatmap(
    lambda each: st.tuples(
        st.just(each.name),
        *([st.sampled_from(TIERS)] if each.by else []),
        st.integers(-40, 56).map(str),
    )
)
NUMBERS = st.dictionaries(st.one_of(COUNTED, PLAIN, BUCKETS), st.integers(1, 10**9).map(float), max_size=300)


@settings(deadline=None, max_examples=60)
@given(NUMBERS, st.integers(0, 10**15))
def test_whatever_happened_it_fits_and_the_sums_are_whole(counts, level):
    levels = {(name, tier): float(level) for name in ("queueRecords", "queueBytes", "queueOldest") for tier in TIERS}
    process = Measures("r", counts, levels | {("memoryBytes",): level, ("containerLimitBytes",): level})
    after = Snapshot(START, 1, "b", {"inference": process, "sync": process})
    encoded = encode(summarize(Snapshot(START, 0, "b", {}), after, 10**9))
    assert len(encoded) <= MAX_BYTES
    summary = json.loads(encoded)
    durations = {each.name: each for each in DURATIONS}
    for name in {key[0] for key in counts}:
        total = 2 * sum(value for key, value in counts.items() if key[0] == name)
        if name in durations:
            sketch = summary["sketches"][name]
            parts = sketch.values() if durations[name].by else [sketch]
            assert sum(sum(from_wire(part).values()) for part in parts) == total
        else:
            assert summary["counts"][name] == total
            broken_down = [entry for entry in summary.get("by", ()) if entry[0] == name]
            if broken_down:
                assert sum(entry[-1] for entry in broken_down) == total


def test_the_worst_fits():
    counts = {(count.name, *("x" * 80 for _ in count.by)): 1e9 for count in COUNTS}
    for each in DURATIONS:
        labels = [(tier,) for tier in TIERS] if each.by else [()]
        counts |= {(each.name, *label, str(index)): 1e9 for label in labels for index in range(-40, 57)}
    levels = {(name, tier): 1e13 for name in ("queueRecords", "queueBytes", "queueOldest") for tier in TIERS}
    levels |= disk(1e13, 1e13) | {("logBytes", f"{number:063}"): 1e12 for number in range(64)}
    levels |= {(level.name,): 1e13 for level in PROCESS_LEVELS}
    process = Measures("r", counts | {(count.name,): 1e6 + 1 / 3 for count in PROCESS_COUNTS}, levels)
    after = Snapshot(START, 1, "b", {"inference": process, "sync": process})
    summary = summarize(Snapshot(START, 0, "b", {}), after, 10**9)
    assert len(encode(summary)) <= MAX_BYTES
    assert told(summary)["counts"]["accepted"] == 2e9


def test_the_rest_of_a_breakdown_is_one_entry():
    counts = {("accepted", f"stream-with-a-long-name-{number:03}"): float(number) for number in range(1, 200)}
    by = told(summarize(snapshot(0), snapshot(60, counts=counts), 1))["by"]
    assert by[0] == ["accepted", "stream-with-a-long-name-199", 199]
    assert by[-1][:2] == ["accepted", REST]
    assert sum(entry[-1] for entry in by) == 199 * 100


def test_after_a_restart_of_the_observer_windows_touch():
    """The figures up to which is told outlive the process, so the next window begins where the last one ended."""
    first = snapshot(60, counts={("accepted", "plant"): 5})
    kept = Snapshot(
        first.wall, first.uptime, first.boot, {n: Measures.from_wire(m.to_wire()) for n, m in first.processes.items()}
    )
    later = summarize(kept, snapshot(200, counts={("accepted", "plant"): 9}), 2)
    assert later.window.start == first.wall
    assert later.counts == {("accepted", "plant"): 4}
