"""What the site operator knows of one node, wherever it learnt it."""

from dataclasses import dataclass

from skerry_api.v1alpha1.siteassignment import ModelReport
from skerry_core.evidence.wire import ModelEvidence


@dataclass(frozen=True)
class NodeView:
    """One node's runtime.

    `ready` is its pod's readiness; `evidence` is empty where the pod couldn't be scraped and `reports` came from the
    node's RuntimeNode instead.
    """

    node: str
    ready: bool
    reports: tuple[ModelReport, ...] = ()
    evidence: tuple[ModelEvidence, ...] = ()
    queue_depth: int = 0

    def report(self, key: tuple[str, str]) -> ModelReport | None:
        """This node's report on the model `(namespace, name)`."""
        return next((report for report in self.reports if (report.namespace, report.model) == key), None)
