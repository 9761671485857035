"""RuntimeNode: what one node's runtime holds and serves; written on phase change, only by that node."""

from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, ObjectMeta, Timestamp
from skerry_api.v1alpha1.siteassignment import ModelReport, Serial


class RuntimeNodeSpec(ApiModel):
    node_name: Annotated[str, Field(min_length=1, max_length=253)]


class DiskUsage(ApiModel):
    """Bytes on the node volume's file system."""

    capacity: Annotated[int, Field(ge=0)]
    free: Annotated[int, Field(ge=0)]


class RuntimeNodeStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    site: Name | None = None
    observed_serial: Serial | None = None
    models: Annotated[tuple[ModelReport, ...], Field(max_length=64)] = ()
    resident: Annotated[tuple[Digest, ...], Field(max_length=64)] = ()
    disk: DiskUsage | None = None
    queue_depth: Annotated[int, Field(ge=0)] = 0
    updated_at: Timestamp | None = None


class RuntimeNode(ApiModel):
    metadata: ObjectMeta
    spec: RuntimeNodeSpec
    status: RuntimeNodeStatus = RuntimeNodeStatus()
