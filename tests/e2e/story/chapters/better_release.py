"""2. A better release goes to the internal ring first, soaks on live traffic, then goes to the fleet."""

import json
import time

from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.platform import MODEL, NAMESPACE
from tests.e2e.story.story import Story

VERSION = "1.1.0"


def tell(story: Story) -> None:
    """Apply v1.1.0 and follow it through the rings."""
    pods = {site: story.runtime_pods(site) for site in story.sites}
    applied = time.time()
    story.release(VERSION)
    story.hub.wait_serving("site-a", VERSION, 120)
    story.narrator.say(f"site-a's canary passed and it serves v1.1.0 after {time.time() - applied:.1f} s")
    if "site-b" in story.sites:
        early = [entry for entry in story.traffic["site-b"].since(applied) if entry.version == VERSION]
        story.narrator.show("site-b had none of it while the internal ring was soaking", not early)
    story.hub.wait_phase(VERSION, "Approved", 180)
    for site in story.sites:
        story.wait_answers(site, VERSION, 30)
    story.narrator.say(f"v1.1.0 is approved after {time.time() - applied:.1f} s")
    _status_by_plugin(story)
    for site, before in pods.items():
        wait_for(f"{site}'s pods are listed", lambda site=site: bool(story.runtime_pods(site)), seconds=10)
        story.narrator.show(
            f"{site}'s runtime pod was neither replaced nor restarted", story.runtime_pods(site) == before
        )
    story.no_failures("while a better model went out")


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
