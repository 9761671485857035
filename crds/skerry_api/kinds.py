"""The kinds of the group as the API server lists them: names, scope, printer columns and rules on object names."""

from dataclasses import dataclass
from enum import StrEnum

from skerry_api.v1alpha1.cel import Rule
from skerry_api.v1alpha1.drift import DRIFTING
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.fields import ApiModel
from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_api.v1alpha1.quarantine import Quarantine
from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_api.v1alpha1.runtimenode import RuntimeNode
from skerry_api.v1alpha1.siteassignment import SiteAssignment
from skerry_api.v1alpha1.siteclass import SiteClass
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_api.v1alpha1.trustpolicy import TrustPolicy

SITE_NAMESPACE_PREFIX = "skerry-site-"
ASSIGNMENT_NAME = "current"
# At a site: where the runtime runs, and where the mirror of what the hub tells the site is.
RUNTIME_NAMESPACE = "skerry-runtime"
# In the site's namespace at the hub, and mirrored into RUNTIME_NAMESPACE.
GRANT_SECRET = "store-grant"  # noqa: S105 - its name
GRANT_KEY = "grant.json"
_LABEL_LENGTH = 63  # of a DNS label: names of namespaces, and parts of host names
_SITE_LENGTH = _LABEL_LENGTH - len(SITE_NAMESPACE_PREFIX)


class Scope(StrEnum):
    NAMESPACED = "Namespaced"
    CLUSTER = "Cluster"


class ColumnType(StrEnum):
    """Of OpenAPI's types, those that are used here; DATE is shown as an age."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`; `path` is a JSONPath below the object, `wide` columns need `-o wide`."""

    name: str
    path: str
    type: ColumnType = ColumnType.STRING
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind: `model` gives its name, its fields and their rules; `rules` are about the whole object."""

    model: type[ApiModel]
    plural: str
    short_names: tuple[str, ...]
    scope: Scope
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()

    @property
    def name(self) -> str:
        """The kind as manifests spell it."""
        return self.model.__name__


def _condition(kind: str, field: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


def _label(what: str, longest: int = _LABEL_LENGTH) -> Rule:
    return Rule(
        f"self.metadata.name.size() <= {longest} && !self.metadata.name.contains('.')",
        f"the name of {what} has at most {longest} characters and no dots",
    )


_AGE = Column("Age", ".metadata.creationTimestamp", ColumnType.DATE)
_READY = Column("Ready", _condition("Ready"))
_DRIFTING = Column("Drifting", _condition(DRIFTING))
_STATUS = Column("Status", _condition("Ready", "message"), wide=True)

KINDS = (
    Kind(
        Model,
        "models",
        ("mdl",),
        Scope.NAMESPACED,
        columns=(
            Column("Served Name", ".status.effective.servedName"),
            Column("Approved", ".status.approved.version"),
            _READY,
            _DRIFTING,
            _AGE,
            Column("Previous", ".status.previous.version", wide=True),
            _STATUS,
        ),
        rules=(_label("a Model"),),
    ),
    Kind(
        ModelRelease,
        "modelreleases",
        ("mrel",),
        Scope.NAMESPACED,
        columns=(
            Column("Model", ".spec.model"),
            Column("Version", ".spec.version"),
            Column("Phase", ".status.phase"),
            Column("Ring", ".status.ring"),
            Column("Reason", ".status.reason"),
            _AGE,
            Column("Signer", ".status.signer", wide=True),
            Column("Digest", ".spec.digest", wide=True),
            _STATUS,
        ),
    ),
    Kind(
        RolloutRing,
        "rolloutrings",
        ("ring",),
        Scope.CLUSTER,
        columns=(
            Column("Order", ".spec.order", ColumnType.INTEGER),
            Column("Sites", ".status.sites", ColumnType.INTEGER),
            _READY,
            _AGE,
            _STATUS,
        ),
        rules=(_label("a RolloutRing"),),
    ),
    Kind(
        FeatureSet,
        "featuresets",
        ("fset",),
        Scope.NAMESPACED,
        columns=(
            Column("Version", ".spec.version"),
            Column("Stream", ".spec.source.stream"),
            _READY,
            Column("Reason", _condition("Ready", "reason")),
            _AGE,
            Column("Digest", ".status.digest", wide=True),
            _STATUS,
        ),
        rules=(_label("a FeatureSet"),),
    ),
    Kind(
        SyncPolicy,
        "syncpolicies",
        ("spol",),
        Scope.NAMESPACED,
        columns=(
            Column("Sites", ".status.sites", ColumnType.INTEGER),
            Column("Updated", ".status.updatedSites", ColumnType.INTEGER),
            _READY,
            Column("Reason", _condition("Ready", "reason")),
            _AGE,
            Column("Digest", ".status.digest", wide=True),
            _STATUS,
        ),
        rules=(_label("a SyncPolicy"),),
    ),
    Kind(
        TrustPolicy,
        "trustpolicies",
        ("tpol",),
        Scope.CLUSTER,
        columns=(
            Column("Serial", ".status.serial", ColumnType.INTEGER),
            Column("Bindings", ".status.bindings", ColumnType.INTEGER),
            Column("Denied", ".status.denied", ColumnType.INTEGER),
            _READY,
            _AGE,
            _STATUS,
        ),
    ),
    Kind(
        Quarantine,
        "quarantines",
        ("quar",),
        Scope.CLUSTER,
        columns=(
            Column("Model", ".spec.model"),
            Column("Release", ".spec.release"),
            Column("Scope", ".spec.scope"),
            Column("Metric", ".spec.reason.name"),
            Column("Since", ".spec.since", ColumnType.DATE),
            Column("Namespace", ".spec.namespace", wide=True),
            Column("Digest", ".spec.digest", wide=True),
            Column("Why", ".spec.reason.message", wide=True),
        ),
    ),
    Kind(
        SiteClass,
        "siteclasses",
        ("sclass",),
        Scope.CLUSTER,
        columns=(
            Column("Image", ".spec.image"),
            Column("Sites", ".status.sites", ColumnType.INTEGER),
            _READY,
            _AGE,
            _STATUS,
        ),
        rules=(_label("a SiteClass"),),
    ),
    Kind(
        EdgeSite,
        "edgesites",
        ("esite",),
        Scope.CLUSTER,
        columns=(
            Column("Class", ".spec.siteClassName"),
            Column("Reachable", _condition("Reachable")),
            Column("Serving", ".status.summary"),
            _DRIFTING,
            Column("Serial", ".status.observedSerial.n", ColumnType.INTEGER),
            Column("Last Seen", ".status.lastSeen", ColumnType.DATE),
            _AGE,
            Column("Accepted", ".spec.hubAcceptsClient", ColumnType.BOOLEAN, wide=True),
            Column("Hold", ".spec.hold", ColumnType.BOOLEAN, wide=True),
            Column("Assigned", ".status.assignedSerial.n", ColumnType.INTEGER, wide=True),
            Column("Queue", ".status.queueDepth", ColumnType.INTEGER, wide=True),
            _STATUS,
        ),
        # The site's namespace at the hub is the prefix and the name, and is a DNS label.
        rules=(_label("an EdgeSite", _SITE_LENGTH),),
    ),
    Kind(
        SiteAssignment,
        "siteassignments",
        ("sassign",),
        Scope.NAMESPACED,
        columns=(
            Column("Serial", ".spec.serial.n", ColumnType.INTEGER),
            Column("Observed", ".status.observedSerial.n", ColumnType.INTEGER),
            Column("Nodes", ".status.nodes", ColumnType.INTEGER),
            Column("Nodes Ready", ".status.nodesReady", ColumnType.INTEGER),
            _READY,
            _DRIFTING,
            _AGE,
            Column("Reported", ".status.reportedAt", ColumnType.DATE, wide=True),
            _STATUS,
        ),
        rules=(
            Rule(
                f"self.metadata.name == '{ASSIGNMENT_NAME}'",
                f"a site has one SiteAssignment, named {ASSIGNMENT_NAME}, in the site's own namespace",
            ),
        ),
    ),
    Kind(
        RuntimeNode,
        "runtimenodes",
        ("rnode",),
        Scope.CLUSTER,
        columns=(
            Column("Site", ".status.site"),
            Column("Serial", ".status.observedSerial.n", ColumnType.INTEGER),
            Column("Queue", ".status.queueDepth", ColumnType.INTEGER),
            _READY,
            _DRIFTING,
            Column("Updated", ".status.updatedAt", ColumnType.DATE),
            _AGE,
            _STATUS,
        ),
        rules=(Rule("self.metadata.name == self.spec.nodeName", "a RuntimeNode is named as its spec.nodeName"),),
    ),
)
