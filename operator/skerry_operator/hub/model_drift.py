"""One model's drift over its sites, counted without rescanning them. No plan sees it: drift decides nothing."""

from datetime import UTC, datetime

from skerry_api.conditions import Observation
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.drift import DRIFTING, DriftReport, DriftState
from skerry_core.drift.report import columns_of

_SHOWN = 5
_EVER = datetime.min.replace(tzinfo=UTC)


class DriftTally:
    """Fed one site at a time; a site that goes away without a word stays as it was last heard of."""

    def __init__(self) -> None:
        self._drifting: dict[str, DriftReport] = {}
        self._stable: set[str] = set()
        self._collecting: set[str] = set()

    def feed(self, site: str, report: DriftReport | None) -> None:
        """Take what a site says of the model; None for one that doesn't watch it, or isn't there any more."""
        self._drifting.pop(site, None)
        self._stable.discard(site)
        self._collecting.discard(site)
        if report is None:
            return
        match report.state:
            case DriftState.DRIFTING:
                self._drifting[site] = report
            case DriftState.STABLE:
                self._stable.add(site)
            case DriftState.COLLECTING:
                self._collecting.add(site)

    def condition(self) -> Observation | None:
        """The Model's condition `Drifting`; None if no site watches it."""
        drifting, judged = len(self._drifting), len(self._drifting) + len(self._stable)
        if not judged:
            if not self._collecting:
                return None
            return Observation(DRIFTING, ConditionStatus.UNKNOWN, "Collecting", "no site has seen enough traffic yet")
        if not drifting:
            return Observation(DRIFTING, ConditionStatus.FALSE, "LikeValidationData", f"at none of {judged} sites")
        first = sorted(self._drifting, key=lambda site: (self._drifting[site].since or _EVER, site))[:_SHOWN]
        told = "; ".join(f"{site}: {columns_of(self._drifting[site])}" for site in first)
        more = f"; and {drifting - len(first)} more" if drifting > len(first) else ""
        message = f"at {drifting} of {judged} sites: {told}{more}"
        return Observation(DRIFTING, ConditionStatus.TRUE, "SitesDrift", message)
