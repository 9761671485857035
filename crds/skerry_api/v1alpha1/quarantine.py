"""Quarantine: a digest that may not run, since when, why and how far."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from skerry_api.v1alpha1.cel import Rule, immutable, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, ObjectMeta, ObjectName, Timestamp
from skerry_api.v1alpha1.modelrelease import FailedMetric

# As many as one Quarantine names; a release that so many have judged bad is on its way back everywhere.
MAX_SITES = 10_000

_WHY = "a quarantine speaks of one digest; it is lifted by a signed act, not by an edit"

_WIDENS = Rule(
    "oldSelf == 'site' || self == 'release'",
    "spec.scope only widens, from site to release",
)
_NEEDS_SITES = Rule(
    "self.scope == 'release' || (has(self.sites) && self.sites.size() > 0)",
    "scope site needs the names of the sites in spec.sites",
)
# Adding the old set to the new one changes nothing: cheap, where testing each old site against all new ones is not.
_KEEPS_SITES = Rule(
    "!has(oldSelf.sites) || (has(self.sites) && self.sites + oldSelf.sites == self.sites)",
    "spec.sites only grows",
)


class QuarantineScope(StrEnum):
    """`site`: the named sites only. `release`: every site swaps back."""

    SITE = "site"
    RELEASE = "release"


class QuarantineSpec(ApiModel):
    model_config = ConfigDict(json_schema_extra=rules(_NEEDS_SITES, _KEEPS_SITES))

    digest: Annotated[Digest, Field(json_schema_extra=immutable(f"spec.digest can't be changed: {_WHY}"))]
    """Digest of the manifest that may not run. Can't be changed."""
    namespace: Annotated[Name, Field(json_schema_extra=immutable(f"spec.namespace can't be changed: {_WHY}"))]
    """Namespace of its Model. Can't be changed."""
    model: Annotated[Name, Field(json_schema_extra=immutable(f"spec.model can't be changed: {_WHY}"))]
    """Name of its Model. Can't be changed."""
    release: ObjectName
    """Name of its ModelRelease, which may be gone by now."""
    scope: Annotated[QuarantineScope, Field(json_schema_extra=rules(_WIDENS))]
    """How far: site (the named sites only) or release (every site swaps back). Only widens."""
    sites: Annotated[
        tuple[Name, ...], Field(max_length=MAX_SITES, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Sites that judged the digest bad. Only grows."""
    since: Timestamp
    """When the first site judged it bad."""
    reason: FailedMetric
    """The metric that failed."""


class QuarantineStatus(Status):
    pass


class Quarantine(ApiModel):
    """A digest that may not run, since when, why and how far. Made by the operator from the sites' reports."""

    metadata: ObjectMeta
    spec: QuarantineSpec
    """What may not run, and where."""
    status: QuarantineStatus = QuarantineStatus()
    """Whether the quarantine is in force."""
