"""What a plan asks for, as data; the shell executes them in order and plans again from what is then there."""

from dataclasses import dataclass

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_core.assignment.document import ReleaseRef
from skerry_operator.hub.rollout.facts import SiteTarget


@dataclass(frozen=True, slots=True)
class Begin:
    """The release is the one that goes out now."""

    release: ReleaseRef


@dataclass(frozen=True, slots=True)
class Assign:
    """Tell one site what to serve."""

    site: str
    told: SiteTarget


@dataclass(frozen=True, slots=True)
class AdvanceRing:
    """The release has passed a ring; the next one opens."""

    release: ReleaseRef
    ring: str


@dataclass(frozen=True, slots=True)
class Approve:
    """The release has passed every ring; what was approved becomes the way back."""

    release: ReleaseRef


@dataclass(frozen=True, slots=True)
class RollBack:
    """Quarantine the release everywhere; if it was the approved one, the previous is approved again."""

    release: ReleaseRef
    metric: FailedMetric


@dataclass(frozen=True, slots=True)
class Supersede:
    """A newer release takes over, or is approved already."""

    release: ReleaseRef
    by: ReleaseRef


@dataclass(frozen=True, slots=True)
class QuarantineAtSite:
    """A site has judged a release bad; keep it from that site, whatever becomes of the site's disk."""

    release: ReleaseRef
    site: str
    metric: FailedMetric


Command = Begin | Assign | AdvanceRing | Approve | RollBack | Supersede | QuarantineAtSite
