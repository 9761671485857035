"""What the activation machine knows of one model on this node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, SemVer, Timestamp
from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.assignment.document import ModelAssignment, ReleaseRef


@dataclass(frozen=True, order=True)
class ModelKey:
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class BadRelease(ApiModel):
    """A digest that this node has judged: it is never tried again here. Kept on disk."""

    digest: Digest
    version: SemVer
    reason: str
    failed_metric: FailedMetric
    at: Timestamp


class Kept(ApiModel):
    """What of a model's activation outlives the process, written before anything relies on it.

    `champion` has answered requests here; `previous` is the one before it; `interrupted` has each digest as
    often as the process died trying it without its being blamed.
    """

    namespace: Name
    model: Name
    served_name: Name
    champion: ReleaseRef | None = None
    champion_since: Timestamp | None = None
    previous: ReleaseRef | None = None
    interrupted: Annotated[tuple[Digest, ...], Field(max_length=64)] = ()


@dataclass(frozen=True)
class LoadFailure:
    """Why a release isn't resident: `phase` says whose turn it is, `missing` the blob that isn't there yet.

    `retry` is set once something that may have caused it has changed.
    """

    phase: ModelPhase
    reason: str
    message: str
    missing: str | None = None
    retry: bool = False


@dataclass(frozen=True)
class Activation:
    """State of the machine; see `skerry_edge.inference.activation.machine` for its laws.

    `barred` are digests that may not run for reasons outside this node (quarantined by hub or site, no longer
    trusted), `resident` those whose sessions are in memory, `marked` those named by load-intent markers. `stale_load`:
    inputs changed while `loading` was under way, so a failure is tried again at once.
    """

    kept: Kept
    assigned: ModelAssignment | None = None
    barred: frozenset[str] = frozenset()
    bad: tuple[BadRelease, ...] = ()
    resident: frozenset[str] = frozenset()
    marked: frozenset[str] = frozenset()
    loading: ReleaseRef | None = None
    stale_load: bool = False
    canary: ReleaseRef | None = None
    failures: Mapping[str, LoadFailure] = field(default_factory=dict)

    @property
    def key(self) -> ModelKey:
        return ModelKey(self.kept.namespace, self.kept.model)

    @property
    def champion(self) -> ReleaseRef | None:
        return self.kept.champion

    @property
    def serving(self) -> ReleaseRef | None:
        """The release that answers requests now; None until a champion is resident."""
        champion = self.kept.champion
        return champion if champion is not None and champion.digest in self.resident else None

    @property
    def serving_since(self) -> datetime | None:
        return self.kept.champion_since if self.serving is not None else None

    def may_run(self, release: ReleaseRef | None) -> bool:
        """Whether a release is neither barred from outside nor judged bad here."""
        return (
            release is not None
            and release.digest not in self.barred
            and all(entry.digest != release.digest for entry in self.bad)
        )
