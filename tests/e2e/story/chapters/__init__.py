"""The story's chapters, in the order in which they are told."""

from collections.abc import Callable

from tests.e2e.story.chapters import (
    airplane,
    better_release,
    deletion,
    explained,
    first_release,
    nan_release,
    refusals,
    shifted_release,
)
from tests.e2e.story.story import Story

CHAPTERS: dict[str, Callable[[Story], None]] = {
    "1. The first release": first_release.tell,
    "2. A better release, ring by ring": better_release.tell,
    "3. A shifted release comes back": shifted_release.tell,
    "4. A release that gives NaN comes back": nan_release.tell,
    "5. Airplane mode": airplane.tell,
    "6. From sensor events to an explained prediction": explained.tell,
    "7. Forgeries are refused": refusals.tell,
    "8. Everything at the hub is deleted": deletion.tell,
}
# What needs hands on the machine: links to cut, processes to kill, images to put on nodes.
NEEDS_HANDS = frozenset({"5. Airplane mode", "6. From sensor events to an explained prediction"})
