from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.telemetry.measures import Measures, Snapshot, growth, total_growth

ACCEPTED, EXPIRED, ALERTS = ("accepted", "plant"), ("expired", "plant"), ("alerts",)


def test_a_new_run_counts_from_nothing_whatever_its_numbers_are():
    before = Measures("a", {ACCEPTED: 5, ALERTS: 9})
    assert growth(before, Measures("a", {ACCEPTED: 8, ALERTS: 9})) == {ACCEPTED: 3}
    assert growth(before, Measures("b", {ACCEPTED: 8})) == {ACCEPTED: 8}
    assert growth(None, Measures("a", {ACCEPTED: 8})) == {ACCEPTED: 8}


def test_what_a_log_counts_goes_on_over_runs_but_not_over_logs():
    before = Measures("a", {EXPIRED: 100}, epochs={"plant": "e1"})
    assert growth(before, Measures("b", {EXPIRED: 130}, epochs={"plant": "e1"})) == {EXPIRED: 30}
    assert growth(before, Measures("b", {EXPIRED: 130}, epochs={"plant": "e2"})) == {EXPIRED: 130}
    # What could not be noted, and is counted anew by a process that begins.
    assert growth(before, Measures("b", {EXPIRED: 60}, epochs={"plant": "e1"})) == {}


def test_a_process_s_own_use_is_not_summed():
    after = {"sync": Measures("a", {("cpuSeconds",): 2, ALERTS: 1}), "inference": Measures("b", {ALERTS: 2})}
    assert total_growth({}, after) == {ALERTS: 3}


def test_who_does_not_answer_is_carried():
    sync, inference = Measures("a", {ALERTS: 1}), Measures("b", {ACCEPTED: 5})
    before = Snapshot(0, 0, "x", {"sync": sync, "inference": inference})
    later = Snapshot(1, 1, "x", {"sync": Measures("a", {ALERTS: 4})}).carrying(before)
    assert later.processes["inference"] is inference
    assert later.processes["sync"].counts == {ALERTS: 4}


# A process's life as seen from outside: it counts, begins anew, doesn't answer, is looked at, is told of.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from([ACCEPTED, ALERTS, EXPIRED]), st.integers(1, 50)),
        st.tuples(st.just("restart"), st.booleans()),
        st.just(("look",)),
    ),
    max_size=60,
)


@given(STEPS)
def test_sums_of_growths_are_what_was_seen_of_each_run(steps):
    run, epoch = 0, 0
    counts = dict.fromkeys((ACCEPTED, ALERTS, EXPIRED), 0)
    seen: dict[tuple[int, tuple[str, ...]], int] = {}
    told: dict[tuple[str, ...], float] = {}
    before: Measures | None = None
    for step in [*steps, ("look",)]:
        match step:
            case ("count", key, number):
                counts[key] += number
            case ("restart", new_log):
                run += 1
                epoch += new_log
                counts = {key: value if key == EXPIRED and not new_log else 0 for key, value in counts.items()}
            case _:
                now = Measures(f"run-{run}", dict(counts), epochs={"plant": f"e{epoch}"})
                for key, value in growth(before, now).items():
                    told[key] = told.get(key, 0) + value
                for key, value in counts.items():
                    seen[epoch if key == EXPIRED else run, key] = value
                before = Measures.from_wire(now.to_wire())
                assert before == now
    for key in (ACCEPTED, ALERTS, EXPIRED):
        assert told.get(key, 0) == sum(value for (_, counted), value in seen.items() if counted == key)
