"""EdgeSite: one site, and whether the hub lets it in."""

from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, ObjectMeta, SemVer, Timestamp
from skerry_api.v1alpha1.siteassignment import MODEL_LIST, ModelPhase, Serial


class EdgeSiteSpec(ApiModel):
    hub_accepts_client: bool = False
    """Let the site in: its certificate requests are approved only while this is true."""
    site_class_name: Name
    """SiteClass that the site's devices are of."""
    hold: bool = False
    """Leave the site with what it has: no new release goes to it."""


class ServedModel(ApiModel):
    """One model as the site last reported it."""

    namespace: Name
    """Namespace of the Model at the hub."""
    model: Name
    """Name of the Model."""
    version: SemVer | None = None
    """Version that answers requests; absent when none does."""
    digest: Digest | None = None
    """Digest of the manifest of what answers requests."""
    phase: ModelPhase
    """Where the site stands with the release that it was told to serve."""


class EdgeSiteStatus(Status):
    namespace: Annotated[str, StringConstraints(max_length=63)] = ""
    """The site's own namespace at the hub, the only one that it can see."""
    # By the hub's own clock: a site's may be days off.
    last_seen: Timestamp | None = None
    """When the last report came in, by the hub's clock."""
    serving: Annotated[tuple[ServedModel, ...], Field(max_length=64, json_schema_extra=MODEL_LIST)] = ()
    """What answers requests there, model by model."""
    # One string, because printer columns can't format lists.
    summary: Annotated[str, StringConstraints(max_length=1024)] = ""
    """What answers requests there, in one line."""
    assigned_serial: Serial | None = None
    """The newest assignment that the hub wrote for the site."""
    observed_serial: Serial | None = None
    """The newest assignment that the site has taken."""
    credential_expires: Timestamp | None = None
    """When the site's client certificate runs out; it is renewed at two thirds of its life."""
    queue_depth: Annotated[int, Field(ge=0)] = 0
    """Prediction records that the site still has to upload."""


class EdgeSite(ApiModel):
    """One site: a cluster that runs models, whether the hub lets it in, and what it last reported."""

    metadata: ObjectMeta
    spec: EdgeSiteSpec
    """What the hub wants of the site."""
    status: EdgeSiteStatus = EdgeSiteStatus()
    """Whether the site is reachable, and what it serves."""
