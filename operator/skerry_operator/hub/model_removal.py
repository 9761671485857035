"""How far a model's removal is, counted over the sites that are to give it up without rescanning them."""

from skerry_api.conditions import Observation
from skerry_api.v1alpha1.condition import ConditionStatus

REMOVED = "Removed"
_SHOWN = 5


class RemovalTally:
    """Fed one site at a time; a site that is away stays as it was last heard of."""

    def __init__(self) -> None:
        self._holding: set[str] = set()
        self._gone: set[str] = set()

    def feed(self, site: str, *, holds: bool | None) -> None:
        """Take whether a site still reports the model; None for one that needn't give it up, or isn't there."""
        self._holding.discard(site)
        self._gone.discard(site)
        if holds is not None:
            (self._holding if holds else self._gone).add(site)

    def condition(self) -> Observation | None:
        """The Model's condition `Removed`; None while no site is to give it up."""
        sites = len(self._holding) + len(self._gone)
        if not sites:
            return None
        if not self._holding:
            return Observation(REMOVED, ConditionStatus.TRUE, "Gone", f"none of {sites} sites has it")
        first = sorted(self._holding)[:_SHOWN]
        more = f", and {len(self._holding) - len(first)} more" if len(self._holding) > len(first) else ""
        told = f"{len(self._holding)} of {sites} sites still have it: {', '.join(first)}{more}"
        return Observation(REMOVED, ConditionStatus.FALSE, "StillHeld", told)
