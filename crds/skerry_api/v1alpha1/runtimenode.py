"""RuntimeNode: what one node's runtime holds and serves; written on phase change, only by that node."""

from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.cel import immutable
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, ObjectMeta, ObjectName, Timestamp
from skerry_api.v1alpha1.siteassignment import MODEL_LIST, ModelReport, Serial
from skerry_api.v1alpha1.syncpolicy import Tier

# Of a relay of consent: nodes of a site, classes of one withdrawal, pages, withdrawals of a page.
MAX_NODES = 256
MAX_CLASSES = 64
MAX_PAGES = 32
MAX_PAGE = 64

EntityHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$", max_length=32)]
Incarnation = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$", max_length=16)]


class RuntimeNodeSpec(ApiModel):
    node_name: Annotated[
        str,
        StringConstraints(min_length=1, max_length=253),
        Field(json_schema_extra=immutable("spec.nodeName can't be changed: each node has a RuntimeNode of its own")),
    ]
    """The Node that the runtime runs on; also this object's name. Can't be changed."""


class DiskUsage(ApiModel):
    """Bytes on the node volume's file system."""

    capacity: Annotated[int, Field(ge=0)]
    """Size of the file system in bytes."""
    free: Annotated[int, Field(ge=0)]
    """Bytes of it that are free."""


class TierQueue(ApiModel):
    """What of one tier waits on a node."""

    tier: Tier
    """The tier."""
    depth: Annotated[int, Field(ge=0)] = 0
    """Records that wait: the power of ten below their number, and 0 below a thousand."""
    held_reason: Annotated[str, StringConstraints(max_length=64)] = ""
    """Why it may not go now (Metered, WindowClosed, BudgetUsed, BudgetTooSmall, NotInPolicy); empty if it may."""
    message: Annotated[str, StringConstraints(max_length=512)] = ""
    """The same in words."""


class FeatureSnapshot(ApiModel):
    """Features of one version of a feature set, for a node that is new at the site."""

    feature_set: Digest
    """Digest of the version's document."""
    digest: Digest
    """Digest of the snapshot's bytes."""
    size: Annotated[int, Field(ge=1)]
    """How many bytes it has."""
    begun_at: Timestamp
    """When the node began to compute the version."""
    made_at: Timestamp
    """When the snapshot was made."""
    expires_at: Timestamp
    """When it is too old to be taken over."""


class Withdrawal(ApiModel):
    """One withdrawal of consent, or a loss: then nobody's consent holds that was given before."""

    number: Annotated[int, Field(ge=1)]
    """Its place among the node's withdrawals."""
    entity: EntityHash | None = None
    """What stands for the entity at this site; absent after a loss."""
    data_classes: Annotated[tuple[Name, ...], Field(max_length=MAX_CLASSES)] = ()
    """The data classes; none: all of them."""


class WithdrawalPage(ApiModel):
    """What follows a number among a node's withdrawals, for nodes that have taken all up to it."""

    after: Annotated[int, Field(ge=0)]
    """That number."""
    withdrawals: Annotated[tuple[Withdrawal, ...], Field(max_length=MAX_PAGE)] = ()
    """All that follow, or the first of them."""


class WithdrawalsTaken(ApiModel):
    """How far a node has taken another's withdrawals."""

    node: ObjectName
    """The other node."""
    incarnation: Incarnation
    """Which counting of that node's the number belongs to."""
    number: Annotated[int, Field(ge=0)]
    """The last one that is durable here."""


class ConsentRelay(ApiModel):
    """What nodes of a site tell each other of consent that was withdrawn."""

    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$", max_length=16)]
    """Tells by which of the site's salts entities are hashed; nodes with another one can't tell whose a hash is."""
    incarnation: Incarnation
    """Changes when this node counts its withdrawals anew."""
    pages: Annotated[tuple[WithdrawalPage, ...], Field(max_length=MAX_PAGES)] = ()
    """What other nodes have yet to take; a page for each number that some have taken last."""
    taken: Annotated[
        tuple[WithdrawalsTaken, ...],
        Field(
            max_length=MAX_NODES,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["node"]},
        ),
    ] = ()
    """How far this node has taken the others'."""


class RuntimeNodeStatus(Status):
    site: Name | None = None
    """The EdgeSite that the node belongs to."""
    observed_serial: Serial | None = None
    """The newest assignment that the node has taken."""
    models: Annotated[tuple[ModelReport, ...], Field(max_length=64, json_schema_extra=MODEL_LIST)] = ()
    """What answers requests on this node, and how each target fares."""
    resident: Annotated[tuple[Digest, ...], Field(max_length=64)] = ()
    """Digests of the manifests whose models are in memory."""
    disk: DiskUsage | None = None
    """Space on the node's volume."""
    queue_depth: Annotated[int, Field(ge=0)] = 0
    """Records that the node still has to upload."""
    queues: Annotated[
        tuple[TierQueue, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["tier"]},
        ),
    ] = ()
    """What waits, by tier, and why."""
    address: Annotated[str, StringConstraints(max_length=64, pattern=r"^([0-9a-fA-F.:\[\]]+:[0-9]{1,5})?$")] = ""
    """IP address and port where the site's other nodes get the snapshots; empty where they can't be had."""
    snapshots: Annotated[
        tuple[FeatureSnapshot, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["featureSet"]},
        ),
    ] = ()
    """The newest snapshots of features that the node has for others, one for each version of a set."""
    consent: ConsentRelay | None = None
    """Withdrawals of consent on their way from node to node."""
    updated_at: Timestamp | None = None
    """When the node wrote this, by its own clock."""


class RuntimeNode(ApiModel):
    """What one node's runtime holds and serves. Written by that node alone."""

    metadata: ObjectMeta
    spec: RuntimeNodeSpec
    """Which node this is."""
    status: RuntimeNodeStatus = RuntimeNodeStatus()
    """What the node's runtime holds and serves."""
