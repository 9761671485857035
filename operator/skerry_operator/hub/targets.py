"""What the plans have told each site, until its SiteAssignment says so."""

import threading
from collections.abc import Iterable

from skerry_operator.hub.rollout.facts import SiteTarget

ModelName = tuple[str, str]


class Targets:
    """Decisions on their way to the sites' assignments: (namespace, model) by site. Safe for threads."""

    def __init__(self) -> None:
        self._told: dict[str, dict[ModelName, SiteTarget]] = {}
        self._lock = threading.Lock()

    def tell(self, site: str, model: ModelName, told: SiteTarget) -> None:
        """Note a plan's decision."""
        with self._lock:
            self._told.setdefault(site, {})[model] = told

    def of(self, site: str) -> dict[ModelName, SiteTarget]:
        """Everything that a site is to be told and may not have been yet."""
        with self._lock:
            return dict(self._told.get(site, {}))

    def drop(self, site: str, models: Iterable[ModelName]) -> None:
        """Forget what was decided of models that the site is to give up."""
        with self._lock:
            open_ones = self._told.get(site, {})
            for model in models:
                open_ones.pop(model, None)
            if not open_ones:
                self._told.pop(site, None)

    def settle(self, site: str, written: dict[ModelName, SiteTarget]) -> None:
        """Forget what the assignment says by now, unless a plan has changed its mind since."""
        with self._lock:
            open_ones = self._told.get(site, {})
            for model, told in written.items():
                if open_ones.get(model) == told:
                    del open_ones[model]
            if not open_ones:
                self._told.pop(site, None)
