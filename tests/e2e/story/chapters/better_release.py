"""2. A better release goes to the internal ring first, soaks on live traffic, then goes to the fleet."""

import json
import time

from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.platform import MODEL, NAMESPACE
from tests.e2e.story.story import Story

VERSION = "1.1.0"
# `minSuccessTime` of the rings; site-a's own clock runs from the swap, an answer may come a moment later.
SOAK, MOMENT = 10.0, 0.5


def tell(story: Story) -> None:
    """Apply v1.1.0 and follow it through the rings."""
    pods = {site: story.runtime_pods(site) for site in story.sites}
    manifest = story.push(VERSION)
    applied = time.time()
    story.hub.apply(manifest)
    story.hub.wait_serving("site-a", VERSION, 120)
    story.narrator.say(f"apply → serving at site-a, whose canary passed: {time.time() - applied:.1f} s")
    story.hub.wait_phase(VERSION, "Approved", 180)
    for site in story.sites:
        story.wait_answers(site, VERSION, 30)
    story.narrator.say(f"apply → serving everywhere and approved: {time.time() - applied:.1f} s")
    if "site-b" in story.sites:
        _soaked(story, applied)
    _status_by_plugin(story)
    for site, before in pods.items():
        wait_for(f"{site}'s pods are listed", lambda site=site: bool(story.runtime_pods(site)), seconds=10)
        story.narrator.show(
            f"{site}'s runtime pod was neither replaced nor restarted", story.runtime_pods(site) == before
        )
    story.no_failures("while a better model went out")


def _soaked(story: Story, applied: float) -> None:
    """Show that site-b got it only after site-a had served it for as long as the ring says."""
    ours, theirs = (
        min(
            entry.at for entry in story.traffic[site].since(applied) if entry.version == VERSION and entry.variant in of
        )
        for site, of in (("site-a", {"champion"}), ("site-b", {"champion", "challenger"}))
    )
    story.narrator.show(
        f"site-b had none of it while the internal ring was soaking, {SOAK:.0f} s",
        theirs - ours >= SOAK - MOMENT,
        f"its first answer came {theirs - ours:.1f} s after the first of site-a's new champion",
    )


def _status_by_plugin(story: Story) -> None:
    status = ("status", MODEL, f"--namespace={NAMESPACE}")
    story.narrator.console.print(story.hub.plugin(*status))
    rows = json.loads(story.hub.plugin(*status, "--json"))["sites"]
    served = {row["site"]: row["served"]["version"] for row in rows}
    story.narrator.show(
        "`kubectl skerry status` says what every site serves",
        served == dict.fromkeys(story.sites, VERSION),
        str(served),
    )
