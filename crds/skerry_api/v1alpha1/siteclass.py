"""SiteClass: a class of devices, and what the runtime may use on one."""

from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, ObjectMeta

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi)?$", max_length=32)]
ResourceName = Annotated[str, StringConstraints(max_length=64)]


class Resources(ApiModel):
    requests: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = {}
    limits: Annotated[dict[ResourceName, Quantity], Field(max_length=8)] = {}


class RuntimeResources(ApiModel):
    """Resources of the runtime pod's two containers."""

    inference: Resources | None = None
    sync: Resources | None = None


class SiteClassSpec(ApiModel):
    image: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    resources: RuntimeResources | None = None


class SiteClassStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    sites: int = 0


class SiteClass(ApiModel):
    metadata: ObjectMeta
    spec: SiteClassSpec
    status: SiteClassStatus = SiteClassStatus()
