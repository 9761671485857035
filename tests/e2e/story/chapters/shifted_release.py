"""3. A release trained on wrongly scaled inputs throws nothing and is wrong: the canary sees it."""

import time

from tests.e2e.story.author import digest_of
from tests.e2e.story.better import GOOD
from tests.e2e.story.story import Story

VERSION = "1.2.0"


def tell(story: Story) -> None:
    """Apply v1.2.0, which is caught in site-a's canary; site-b never gets it."""
    applied = time.time()
    digest = digest_of(story.release(VERSION))
    release = story.hub.wait_phase(VERSION, "RolledBack", 180)
    metric = release["status"]["failedMetric"]
    table = story.hub.table()
    story.narrator.say(table)
    row = next((line for line in table.splitlines() if VERSION in line), "")
    story.narrator.show(
        "`kubectl get modelreleases` shows v1.2.0 RolledBack, and which metric",
        metric["name"] == "disagreement" and "RolledBack" in row and "disagreement" in row,
        f"{metric['name']} {metric.get('observed', 0):.3f}, allowed {metric.get('limit', 0):.3f}, "
        f"at {metric.get('site')}",
    )
    story.wait_answers("site-a", GOOD, 60)
    bad = [entry.at for entry in story.traffic["site-a"].since(applied) if entry.version == VERSION]
    story.narrator.show(
        "site-a's canary answered with it, and was swapped back",
        bool(bad),
        f"bad evidence → swapped: {max(bad) - min(bad):.1f} s from its first answer to its last" if bad else "",
    )
    if "site-b" in story.sites:
        reached = [entry for entry in story.traffic["site-b"].since(applied) if entry.version == VERSION]
        story.narrator.show(
            "site-b never got it: no answer, and no such bytes on its disk",
            not reached and not story.has_blob("site-b", digest),
        )
    story.no_failures("while a bad model was tried")
