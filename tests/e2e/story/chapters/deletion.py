"""8. Everything at the hub is deleted, then the hub itself: the sites serve on."""

import time

from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.better import GOOD
from tests.e2e.story.platform import NAMESPACE, SYSTEM
from tests.e2e.story.story import Story

WATCHED = 15.0  # seconds


def tell(story: Story) -> None:
    """Delete the Models, all releases and the hub's chart."""
    hub = story.platform.hub
    hub.kubectl("delete", "models", "--all", f"--namespace={NAMESPACE}", "--timeout=60s")
    hub.kubectl("delete", "modelreleases", "--all", f"--namespace={NAMESPACE}", "--timeout=60s")
    hub.helm("uninstall", "skerry-hub", f"--namespace={SYSTEM}", "--wait", "--timeout=2m")
    gone = time.time()
    left = hub.kubectl(
        "get", "models,modelreleases,rolloutrings,edgesites,siteassignments,quarantines,trustpolicies,siteclasses,"
        "featuresets,syncpolicies",
        "--all-namespaces", "--output=jsonpath={range .items[*]}{.metadata.finalizers}{end}",
    ).stdout  # fmt: skip
    story.narrator.show("helm uninstall of the hub strands no finalizer", not left.strip(), left.strip())
    wait_for("the sites were watched for a while", lambda: time.time() - gone > WATCHED, seconds=WATCHED + 5)
    for site, traffic in story.traffic.items():
        since = traffic.since(gone)
        good = [entry for entry in since if entry.version == GOOD and not entry.failure]
        story.narrator.show(
            f"{site} serves on without Model, releases and hub",
            len(good) == len(since) and len(good) >= WATCHED * 15,
            f"{len(good)} answers in {WATCHED:.0f} s",
        )
    story.no_failures("to the end")
