"""Which sessions answer for which served name: read by request threads, swapped by the control thread."""

from dataclasses import dataclass, replace

from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.canary import Canary
from skerry_edge.inference.loader import Resident


@dataclass(frozen=True)
class Route:
    """One model as a request sees it from beginning to end; `champion` is None before the first one is resident."""

    key: ModelKey
    served_name: str
    champion: Resident | None = None
    canary: Canary | None = None


class Routes:
    """An immutable table behind one reference: readers need no lock, and a swap is seen whole or not at all."""

    def __init__(self) -> None:
        self._by_key: dict[ModelKey, Route] = {}
        self._by_name: dict[str, Route] = {}

    def find(self, served_name: str) -> Route | None:
        """The route that a request takes."""
        return self._by_name.get(served_name)

    def get(self, key: ModelKey) -> Route | None:
        """The route of one model, found by its own name."""
        return self._by_key.get(key)

    def all(self) -> tuple[Route, ...]:
        """Every route."""
        return tuple(self._by_key.values())

    def name(self, key: ModelKey, served_name: str) -> None:
        """Give a model its served name, and a route if it has none."""
        before = self._by_key.get(key, Route(key, served_name))
        self._put(replace(before, served_name=served_name))

    def serve(self, key: ModelKey, champion: Resident) -> None:
        """Let a resident release answer."""
        self._put(replace(self._by_key[key], champion=champion))

    def split(self, key: ModelKey, canary: Canary | None) -> None:
        """Begin or end a canary."""
        self._put(replace(self._by_key[key], canary=canary))

    def remove(self, key: ModelKey) -> None:
        """Serve a model no more."""
        self._publish({other: route for other, route in self._by_key.items() if other != key})

    def _put(self, route: Route) -> None:
        self._publish({**self._by_key, route.key: route})

    def _publish(self, by_key: dict[ModelKey, Route]) -> None:
        self._by_key = by_key
        # The hub gives a served name to its first claimant; should two come here, the first in order keeps it.
        by_name: dict[str, Route] = {}
        for key in sorted(by_key):
            by_name.setdefault(by_key[key].served_name, by_key[key])
        self._by_name = by_name
