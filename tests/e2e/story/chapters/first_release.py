"""1. The first signed release reaches every site, and answers as the bare model does."""

import time

import numpy as np

from tests.e2e.story.author import digest_of
from tests.e2e.story.network import TOLERANCE, run
from tests.e2e.story.story import Story

VERSION = "1.0.0"


def tell(story: Story) -> None:
    """Apply v1.0.0 and compare what the sites answer with bare onnxruntime."""
    manifest = story.push(VERSION)
    applied = time.monotonic()
    story.hub.apply(manifest)
    story.narrator.say("v1.0.0 is pushed; its ModelRelease is applied with kubectl")
    for site in story.sites:
        story.hub.wait_serving(site, VERSION, 180)
        story.narrator.say(f"apply → serving at {site}: {time.monotonic() - applied:.1f} s, its ring's soak included")
    story.hub.wait_phase(VERSION, "Approved", 180)
    story.narrator.say(f"apply → approved: {time.monotonic() - applied:.1f} s")
    for site in story.sites:
        served = story.hub.site(site)["status"]["serving"][0]
        story.narrator.show(f"{site} serves the digest that was applied", served["digest"] == digest_of(manifest))
        held_out = story.data.held_out.x
        answers = story.ask(site, held_out)
        bare = run(story.author.model_bytes(VERSION), held_out)
        difference = float(np.abs(answers - bare).max())
        story.narrator.show(
            f"{site}'s answers on {len(held_out)} held-out windows equal bare onnxruntime's to {TOLERANCE:g}",
            difference <= TOLERANCE,
            f"largest difference {difference:.1e}",
        )
    for traffic in story.traffic.values():
        traffic.send_rows_of(story.data.held_out)
    story.start_traffic()
    for site in story.sites:
        story.wait_answers(site, VERSION, 30)
    story.narrator.say("each site's client sends 20 requests a second from here on, without retries")
