"""Whose turn it is on a shared link: shares by weight, of the bytes that were sent. Pure.

Start-time fair queueing (Goyal, Vin, Cheng: "Start-Time Fair Queuing", SIGCOMM 1996): each flow has a tag that grows by
bytes / weight when it is served, and the lowest goes first. A flow that had nothing to send comes in at the tag that is
being served now: it neither saves up credit nor waits for the others'. It is applied at each level of a tree, so a
tier's share doesn't depend on how many streams it has.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# A flow's place in the tree, outermost first: ("Bulk", "inference/raw", "Live").
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """Something that could be sent now; `weights` has one weight for each level of its path."""

    path: Path
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Fair:
    """Tags of nodes by path, and of each node the tag of its child served last."""

    tags: Mapping[Path, float] = field(default_factory=dict)
    serving: Mapping[Path, float] = field(default_factory=dict)

    def choose(self, flows: Iterable[Flow]) -> Flow:
        """The flow whose turn it is, the first of equals; ValueError if there is none."""
        left = list(flows)
        if not left:
            raise ValueError("nothing to choose from")
        for level in range(1, len(left[0].path) + 1):
            turn = min((flow.path[:level] for flow in left), key=self._tag)
            left = [flow for flow in left if flow.path[:level] == turn]
        return left[0]

    def served(self, flow: Flow, size: int) -> "Fair":
        """State after `size` bytes of the flow."""
        tags, serving = dict(self.tags), dict(self.serving)
        for level, weight in enumerate(flow.weights, start=1):
            node = flow.path[:level]
            start = self._tag(node)
            tags[node] = start + size / weight
            serving[node[:-1]] = start
        return Fair(tags, serving)

    def _tag(self, node: Path) -> float:
        return max(self.tags.get(node, 0.0), self.serving.get(node[:-1], 0.0))
