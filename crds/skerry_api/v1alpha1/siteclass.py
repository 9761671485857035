"""SiteClass: a class of devices, and what the runtime may use on one."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ApiModel, ObjectMeta

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi)?$", max_length=32)]
ResourceName = Annotated[str, StringConstraints(max_length=64)]

# A pod template that breaks this is refused by each site's API server, where nobody looks.
_REQUESTS = Rule(
    "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits)"
    " || quantity(self.requests[name]).compareTo(quantity(self.limits[name])) <= 0)",
    "a request can't be more than the limit of the same resource",
)


class Resources(ApiModel):
    """What one container asks for and may use, by resource name (`cpu`, `memory`)."""

    model_config = ConfigDict(json_schema_extra=rules(_REQUESTS))

    requests: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = {}
    """What the scheduler sets aside, such as `cpu: 100m` or `memory: 256Mi`."""
    limits: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = {}
    """What the container may not go beyond."""


class RuntimeResources(ApiModel):
    """Resources of the runtime pod's two containers."""

    inference: Resources | None = None
    """The container that answers requests; two models of a kind are in its memory during a canary."""
    sync: Resources | None = None
    """The container that downloads models and uploads the prediction log."""


class SiteClassSpec(ApiModel):
    image: Annotated[str, StringConstraints(pattern=r"^\S+$", min_length=1, max_length=512)]
    """Image of the runtime pod, as the site's container runtime pulls it."""
    resources: RuntimeResources | None = None
    """What the runtime pod asks for; the operator's defaults unless set."""


class SiteClassStatus(Status):
    sites: Annotated[int, Field(ge=0)] = 0
    """EdgeSites of this class."""


class SiteClass(ApiModel):
    """A class of devices, and what the runtime may use on one. A change restarts the runtime of all its sites."""

    metadata: ObjectMeta
    spec: SiteClassSpec
    """The runtime's image and resources."""
    status: SiteClassStatus = SiteClassStatus()
    """How many sites are of this class."""
