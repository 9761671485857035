"""What this node says of itself: model reports and evidence, from the activator's state. Reads only."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from skerry_api.v1alpha1.drift import DriftReport
from skerry_api.v1alpha1.siteassignment import EvidenceSummary, ModelReport
from skerry_core.evidence.collect import total
from skerry_core.evidence.histogram import quantile
from skerry_core.evidence.wire import ModelEvidence, NodeEvidence, WireLabelled, to_wire
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.settings import LogStatus
from skerry_edge.inference.activation.phase import standing
from skerry_edge.inference.activation.state import Activation, ModelKey
from skerry_edge.inference.activator import Activator
from skerry_edge.inference.canary import Canary, Ended
from skerry_edge.inference.prediction import Predictor
from skerry_edge.inference.store_folder import StoreFolder

_MAX_QUARANTINED = 64


class Reporter:
    """Makes the JSON of `/status` and `/evidence`."""

    def __init__(
        self,
        site: str,
        node: str,
        activator: Activator,
        predictor: Predictor,
        logs: EventLogs,
        store: StoreFolder,
        drift: Callable[[ModelKey], DriftReport | None],
    ) -> None:
        """`drift` tells of a model's drift, None where it isn't watched."""
        self._site = site
        self._node = node
        self._activator = activator
        self._predictor = predictor
        self._logs = logs
        self._store = store
        self._drift = drift

    def status(self) -> bytes:
        """Phases, what is resident, the assignment in force and the logs' positions."""
        downloads = self._store.downloads()
        states, canaries = self._activator.states, self._activator.canaries
        serial, refusal = self._activator.observed_serial, self._activator.refusal
        return json.dumps(
            {
                "site": self._site,
                "node": self._node,
                "observedSerial": serial.to_wire() if serial is not None else None,
                "refusal": {"reason": refusal.reason, "message": str(refusal)} if refusal is not None else None,
                "models": [self._model(states[key], canaries.get(key), downloads).to_wire() for key in sorted(states)],
                "resident": sorted({digest for state in states.values() for digest in state.resident}),
                "logs": [_log(log) for _, log in sorted(self._logs.status().items())],
            }
        ).encode()

    def evidence(self) -> bytes:
        """Evidence of every canary that runs, and of the last one of each model."""
        models = []
        for key, canary in sorted(self._activator.canaries.items()):
            evidence = canary.evidence()
            models.append(
                ModelEvidence(
                    namespace=key.namespace,
                    model=key.name,
                    champion=evidence.champion,
                    challenger=evidence.challenger,
                    running=canary.running,
                    expected=canary.expected,
                    windows=to_wire(evidence),
                    labelled=WireLabelled.model_validate(vars(evidence.labelled)),
                )
            )
        return json.dumps(NodeEvidence(site=self._site, node=self._node, models=tuple(models)).to_wire()).encode()

    def _model(self, state: Activation, canary: Canary | Ended | None, downloads: Mapping[str, str]) -> ModelReport:
        stands = standing(state, downloads)
        assigned, serving = state.assigned, state.serving
        return ModelReport(
            namespace=state.key.namespace,
            model=state.key.name,
            phase=stands.phase,
            target_digest=assigned.target.digest if assigned is not None else None,
            serving_digest=serving.digest if serving is not None else None,
            serving_version=serving.version if serving is not None else None,
            serving_since=state.serving_since,
            requests=self._predictor.answered(state.key),
            evidence=_summary(canary) if canary is not None else None,
            failed_metric=stands.failed_metric,
            quarantined=tuple(entry.digest for entry in state.bad)[-_MAX_QUARANTINED:],
            reason=stands.reason,
            message=stands.message[:1024],
            drift=self._drift(state.key),
        )


def _log(status: LogStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "epoch": status.epoch,
        "firstSeq": status.first_seq,
        "nextSeq": status.next_seq,
        "bytes": status.size,
        "dropped": status.dropped,
        "refused": status.refused,
        "failedSyncs": status.failed_syncs,
        "torn": status.torn,
        "damaged": status.damaged,
        "damagedRanges": status.damaged_ranges,
        "expired": status.expired,
        "expiredSeq": status.expired_seq,
    }


def _summary(canary: Canary | Ended) -> EvidenceSummary:
    expected = canary.expected
    summed = total(canary.evidence())
    rate = expected.rate if expected is not None else None
    if summed is None:
        return EvidenceSummary(expected_disagreement=rate)
    return EvidenceSummary(
        pairs=summed.rows,
        disagreements=summed.disagreements,
        challenger_errors=summed.errors,
        expected_disagreement=rate,
        latency_ratio_p50=quantile(summed.ratios, 0.5),
        guardrail_trips=summed.trips,
    )
