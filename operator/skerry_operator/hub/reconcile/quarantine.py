"""Quarantine: made here, from sites' reports and from rollbacks; its conditions say what holds."""

from skerry_api.conditions import Ready, conditions_for
from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.quarantine import MAX_SITES, Quarantine, QuarantineScope, QuarantineSpec, QuarantineStatus
from skerry_core import digest as digests
from skerry_core.assignment.document import ReleaseRef
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.targets import ModelName
from skerry_operator.kube.api import JsonObject
from skerry_operator.kube.resources import QUARANTINES

_NAME_HEX = 12


def reconcile_quarantine(hub: Hub, key: Key) -> float | None:
    """Write a quarantine's status."""
    quarantine = hub.inventory.get(Quarantine, key.name)
    if quarantine is None:
        return None
    everywhere = quarantine.spec.scope is QuarantineScope.RELEASE
    where = "at every site" if everywhere else f"at {', '.join(quarantine.spec.sites[:5])}"
    generation = quarantine.metadata.generation
    conditions = conditions_for(
        Ready("InForce", f"{quarantine.spec.release} may not run {where}"),
        generation=generation,
        now=hub.now(),
        previous=quarantine.status.conditions,
    )
    hub.statuses.write(quarantine, QuarantineStatus(observed_generation=generation, conditions=conditions))
    return None


def quarantine_release(
    hub: Hub, model: ModelName, release: ReleaseRef, metric: FailedMetric, *, site: str | None = None
) -> None:
    """Quarantine a release at one more site, or at all (`site` is None); what is quarantined already stays so."""
    name = quarantine_name(model, release.digest)
    live = hub.kube.get(QUARANTINES, name)
    if live is None:
        spec = QuarantineSpec(
            digest=release.digest,
            namespace=model[0],
            model=model[1],
            release=release.release,
            scope=QuarantineScope.RELEASE if site is None else QuarantineScope.SITE,
            sites=(site,) if site else (),
            since=hub.now(),
            reason=metric,
        )
        written = hub.kube.create(QUARANTINES, _body(name, spec))
    else:
        before = Quarantine.model_validate(live).spec
        change = {"scope": QuarantineScope.RELEASE} if site is None else {"sites": _with(before.sites, site)}
        # Applied, not replaced: its status is written meanwhile. The spec only grows, and only this process writes it.
        written = hub.kube.apply(QUARANTINES, _body(name, before.model_copy(update=change)))
    hub.inventory.observe(QUARANTINES, "MODIFIED", written)
    hub.enqueue(Key(QUARANTINES, "", name), 0)


def quarantine_name(model: ModelName, digest: str) -> str:
    """One object per digest and model."""
    return f"{model[0]}.{model[1]}.{digests.hex_of(digest)[:_NAME_HEX]}"


def _with(sites: tuple[str, ...], site: str) -> tuple[str, ...]:
    return sites if site in sites or len(sites) >= MAX_SITES else (*sites, site)


def _body(name: str, spec: QuarantineSpec) -> JsonObject:
    return {
        "apiVersion": QUARANTINES.api_version,
        "kind": QUARANTINES.kind,
        "metadata": {"name": name},
        "spec": spec.to_wire(),
    }
