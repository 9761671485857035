"""Late feedback as the serving process puts it together."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import CONSENT
from skerry_core.assignment.document import ModelAssignment
from skerry_core.labels.standing import Terms
from skerry_edge.events.logs import EventLogs
from skerry_edge.inference.authority import Authority
from skerry_edge.inference.config import Config
from skerry_edge.inference.store_folder import StoreFolder
from skerry_edge.ingest.withdrawals import Withdrawals
from skerry_edge.labels.labels import Labels, TermsByModel
from skerry_edge.labels.metrics import LabelCollector


def make_labels(
    config: Config, logs: EventLogs, authority: Authority, store: StoreFolder, registry: CollectorRegistry
) -> Labels:
    """Labels joined to this node's predictions, and their metrics; nothing is read before its thread starts."""

    def terms() -> TermsByModel:
        document = authority.document
        return {} if document is None else terms_of(document.models)

    consent = logs.directory(CONSENT)
    withdrawals = Withdrawals(config.state / "consent.json", consent, store.inbox)
    labels = Labels(config.site, config.node, consent.parent, terms, withdrawals.since)
    registry.register(LabelCollector(labels))
    return labels


def terms_of(models: Iterable[ModelAssignment]) -> TermsByModel:
    """What those models ask of labels that say so."""
    return {
        (model.namespace, model.name): Terms(asked.error, asked.max_age, asked.min_authority)
        for model in models
        if (asked := model.analysis.labels) is not None
    }
