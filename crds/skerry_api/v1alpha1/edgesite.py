"""EdgeSite: one site, and whether the hub lets it in."""

from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, ObjectMeta, SemVer, Timestamp
from skerry_api.v1alpha1.siteassignment import ModelPhase, Serial


class EdgeSiteSpec(ApiModel):
    hub_accepts_client: bool = False
    site_class_name: Name
    hold: bool = False


class ServedModel(ApiModel):
    """One model as the site last reported it."""

    namespace: Name
    model: Name
    version: SemVer | None = None
    digest: Digest | None = None
    phase: ModelPhase


class EdgeSiteStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    namespace: str = ""
    # By the hub's own clock: when the last report came in.
    last_seen: Timestamp | None = None
    serving: Annotated[tuple[ServedModel, ...], Field(max_length=64)] = ()
    # What is served, in one string, because printer columns can't format lists.
    summary: Annotated[str, Field(max_length=1024)] = ""
    assigned_serial: Serial | None = None
    observed_serial: Serial | None = None
    credential_expires: Timestamp | None = None
    queue_depth: Annotated[int, Field(ge=0)] = 0


class EdgeSite(ApiModel):
    metadata: ObjectMeta
    spec: EdgeSiteSpec
    status: EdgeSiteStatus = EdgeSiteStatus()
