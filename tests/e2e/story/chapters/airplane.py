"""5. Airplane mode: a site without a link rolls back alone, dies, comes back, and later tells all."""

import time
from collections import Counter

from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.better import GOOD
from tests.e2e.story.records import stored_predictions
from tests.e2e.story.story import Story
from tests.e2e.story.training import FAMILIAR, STRANGERS

VERSION = "1.4.0"
LONGEST_KILL_WINDOW = 45.0  # seconds


def tell(story: Story) -> None:
    """Cut site-b's link while its canary runs, move its traffic to strangers, kill it, start it, join it."""
    _reach_site_b_canary(story)
    _cut_and_judge(story)
    _kill_and_start(story)
    _join(story)
    _account(story)
    story.no_failures("but in the announced kill window")


def _reach_site_b_canary(story: Story) -> None:
    for traffic in story.traffic.values():
        traffic.send_rows_of(story.data.held_out.only(FAMILIAR))
    applied = time.time()
    story.release(VERSION)
    story.hub.wait_serving("site-a", VERSION, 180)
    story.narrator.say("v1.4.0 passed site-a, whose traffic is of people it knows")
    traffic = story.traffic["site-b"]
    wait_for(
        "site-b's canary of v1.4.0 runs",
        lambda: any(entry.version == VERSION for entry in traffic.since(applied)),
        seconds=180,
    )
    wait_for("site-b's node says so", lambda: story.node_phase("site-b") == "Canary", seconds=8)


def _cut_and_judge(story: Story) -> None:
    site, traffic = story.sites["site-b"], story.traffic["site-b"]
    site.cut()
    cut = time.time()
    traffic.send_rows_of(story.data.held_out.only(STRANGERS))
    story.narrator.show("site-b's canary was running when its link was cut", story.node_phase("site-b") == "Canary")
    story.narrator.say("site-b's traffic moves to people whom v1.4.0 has never seen; nothing tells it so")
    wait_for("site-b rolled back alone", lambda: story.node_phase("site-b") == "RolledBack", seconds=120, every=0.5)
    story.wait_answers("site-b", GOOD, 20)
    wait_for("site-b says why", lambda: bool(story.site_metric("site-b")), seconds=30, every=0.5)
    metric = story.site_metric("site-b")
    swapped = max((entry.at for entry in traffic.since(cut) if entry.version == VERSION), default=cut) - cut
    story.narrator.show(
        "site-b rolled back alone, without its hub",
        site.is_cut and metric["name"] == "disagreement",
        f"{metric['name']} {metric['observed']:.3f}, allowed {metric['limit']:.3f}, "
        f"bad evidence → swapped: {swapped:.1f} s",
    )


def _kill_and_start(story: Story) -> None:
    site, traffic = story.sites["site-b"], story.traffic["site-b"]
    start = time.time()
    story.narrator.say("announced: every process of site-b gets SIGKILL now, and requests fail until it is back")
    killed = site.kill_everything()
    story.narrator.show("none of site-b's processes outlived SIGKILL", not site.pids(), f"{killed} were killed")
    site.start()
    story.wait_answers("site-b", GOOD, 90)
    span = traffic.resume_after_failure(start)
    story.narrator.show(
        f"site-b serves v1.1.0 again with the link still down, at most {LONGEST_KILL_WINDOW:.0f} s later",
        site.is_cut and span.end - span.start <= LONGEST_KILL_WINDOW,
        f"kill window {span.end - span.start:.1f} s",
    )


def _join(story: Story) -> None:
    story.sites["site-b"].join()
    joined = time.time()
    release = story.hub.wait_phase(VERSION, "RolledBack", 180)
    metric = release["status"]["failedMetric"]
    story.narrator.show(
        "the link is back and the hub learns what happened",
        metric.get("site") == "site-b",
        f"{metric['name']} at site-b",
    )
    story.wait_answers("site-a", GOOD, 60)
    story.narrator.show(
        "site-a, which had passed it, swaps back too", True, f"{time.time() - joined:.1f} s after the link"
    )


def _account(story: Story) -> None:
    for site, traffic in story.traffic.items():
        answered = {entry.prediction: entry.request for entry in traffic.entries() if entry.prediction}

        def missing(site: str = site, answered: dict[str, str] = answered) -> set[tuple[str, str]]:
            return set(answered.items()) - set(stored_predictions(story.platform.store(), site).items())

        wait_for(f"{site}'s predictions are in the hub's store", lambda lost=missing: not lost(), seconds=120, every=2)
        unnamed = [entry for entry in traffic.entries() if not entry.failure and not entry.prediction]
        times = Counter(stored_predictions(story.platform.store(), site).values())
        story.narrator.show(
            f"the hub's store holds every prediction of {site}'s ledger, each once by id",
            all(times[request] == 1 for request in answered.values()) and not unnamed,
            f"{len(answered)} predictions",
        )
