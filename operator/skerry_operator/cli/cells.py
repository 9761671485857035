"""Cells of tables: digests, ages and phases short enough for one line."""

from datetime import datetime, timedelta
from enum import StrEnum

from rich.text import Text

from skerry_api.v1alpha1.modelrelease import ModelReleaseStatus, ReleasePhase, RingProgress
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core import digest as digests

_SHOWN_DIGITS = 12
_GOOD = {ReleasePhase.APPROVED, ModelPhase.SERVING}
_BAD = {
    ReleasePhase.ROLLED_BACK,
    ReleasePhase.REFUSED,
    ModelPhase.ROLLED_BACK,
    ModelPhase.REFUSED,
    ModelPhase.STALLED,
}
_IDLE = {ReleasePhase.PENDING, ReleasePhase.SUPERSEDED, ReleasePhase.PAUSED, ModelPhase.WAITING}


def short(digest: str | None) -> str:
    """The first 12 hex digits of a digest, as container tools show them."""
    return digests.hex_of(digest)[:_SHOWN_DIGITS] if digest else "-"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago in one unit, as kubectl shows ages: 12s, 5m, 3h, 2d."""
    if moment is None:
        return "never"
    age = max(now - moment, timedelta())
    if age < timedelta(minutes=2):
        return f"{age // timedelta(seconds=1)}s"
    if age < timedelta(hours=2):
        return f"{age // timedelta(minutes=1)}m"
    if age < timedelta(days=2):
        return f"{age // timedelta(hours=1)}h"
    return f"{age.days}d"


def phase_cell(phase: StrEnum) -> Text:
    """A phase in the colour of what it means."""
    style = "green" if phase in _GOOD else "red" if phase in _BAD else "dim" if phase in _IDLE else "yellow"
    return Text(str(phase), style=style)


def rings_cell(status: ModelReleaseStatus) -> str:
    """Each ring with how many of its sites have succeeded, the failed and the unreachable if there are any."""
    return ", ".join(_ring(ring) for ring in status.rings)


def _ring(ring: RingProgress) -> str:
    troubles = ((ring.failed, "failed"), (ring.unreachable, "away"))
    told = ", ".join(f"{count} {what}" for count, what in troubles if count)
    return f"{ring.name} {ring.succeeded}/{ring.sites}" + (f" ({told})" if told else "")
