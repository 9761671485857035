"""4. A release whose own arithmetic gives NaN on some real rows: the guardrail answers with the champion."""

import time

import numpy as np

from tests.e2e.story.better import GOOD
from tests.e2e.story.network import run
from tests.e2e.story.story import Story

VERSION = "1.3.0"


def tell(story: Story) -> None:
    """List the rows, apply v1.3.0, and show that no client noticed."""
    scores = run(story.author.model_bytes(VERSION), story.data.held_out.x)
    rows = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    listed = ", ".join(map(str, rows))
    story.narrator.show("bare onnxruntime gives NaN on unmodified rows of the dataset", len(rows) > 0, f"rows {listed}")
    applied = time.time()
    story.release(VERSION)
    release = story.hub.wait_phase(VERSION, "RolledBack", 180)
    metric = release["status"]["failedMetric"]
    story.narrator.show(
        "v1.3.0 is RolledBack", metric["name"] == "non_finite_outputs", f"{metric['name']}: {metric.get('message', '')}"
    )
    story.wait_answers("site-a", GOOD, 60)
    answers = story.traffic["site-a"].since(applied)
    fallbacks = [entry for entry in answers if entry.variant == "fallback"]
    if fallbacks:
        last = max(entry.at for entry in answers if entry.version == VERSION or entry.variant == "fallback")
        story.narrator.say(f"bad evidence → swapped: {last - fallbacks[0].at:.1f} s")
    story.narrator.show(
        "the champion answered each request that the challenger could not",
        bool(fallbacks) and all(entry.version == GOOD and not entry.failure for entry in fallbacks),
        f"{len(fallbacks)} such requests",
    )
    story.no_failures("while a model gave NaN")
