"""Where a node stands with the release it was told to serve, in the words of the API."""

from collections.abc import Mapping
from dataclasses import dataclass

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_edge.inference.activation.state import Activation


@dataclass(frozen=True)
class Standing:
    """Phase of the target, and why; `failed_metric` if it was judged bad here."""

    phase: ModelPhase
    reason: str = ""
    message: str = ""
    failed_metric: FailedMetric | None = None


def standing(state: Activation, downloads: Mapping[str, str]) -> Standing:  # noqa: PLR0911 - a table
    """Tell the phase; `downloads` are the messages of sync about blobs that aren't there yet, by digest."""
    assigned, serving = state.assigned, state.serving
    if assigned is None:
        phase = ModelPhase.SERVING if serving is not None else ModelPhase.LOADING
        return Standing(phase, "NotAssigned", "serving what served last; no assignment names this model")
    target = assigned.target
    for entry in state.bad:
        if entry.digest == target.digest:
            return Standing(ModelPhase.ROLLED_BACK, entry.reason, entry.failed_metric.message, entry.failed_metric)
    if target.digest in state.barred:
        return Standing(ModelPhase.ROLLED_BACK, "Quarantined", f"{target.version} may not run on this site")
    if serving is not None and serving.digest == target.digest:
        return Standing(ModelPhase.SERVING)
    if state.canary is not None and state.canary.digest == target.digest:
        champion = serving.version if serving is not None else "the champion"
        return Standing(ModelPhase.CANARY, "Canary", f"{target.version} is judged against {champion}")
    failure = state.failures.get(target.digest)
    if failure is not None:
        message = downloads.get(failure.missing or "", failure.message)
        return Standing(failure.phase, failure.reason, message)
    if state.loading is not None and state.loading.digest == target.digest:
        return Standing(ModelPhase.LOADING, "Loading", f"verifying and loading {target.version}")
    return Standing(ModelPhase.WAITING, "Waiting", f"{target.version} waits for another release to be loaded first")
