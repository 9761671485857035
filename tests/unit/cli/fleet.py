"""Objects of a small fleet, as the API server has them."""

from datetime import UTC, datetime, timedelta

from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, MODEL_RELEASES, MODELS, ROLLOUT_RINGS, Resource

CREATED = datetime(2026, 8, 1, 12, tzinfo=UTC)


def digest(version: str) -> str:
    return "sha256:" + version.replace(".", "").ljust(64, "0")


def kept(version: str) -> dict:
    return {
        "release": f"har-{version}",
        "version": version,
        "digest": digest(version),
        "signature": digest(version),
        "storageUri": f"s3://skerry/models/har/{version}",
        "approvedAt": CREATED.isoformat(),
    }


def put(kube: MemoryKube, resource: Resource, body: dict) -> None:
    """Create an object and, as the operators do, write its status."""
    status = body.pop("status", None)
    found = kube.create(resource, body)
    if status:
        kube.replace(resource, {**found, "status": status}, "status")


def model(approved: str | None = None, previous: str | None = None, **spec: object) -> dict:
    status = {
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Serving", "lastTransitionTime": CREATED.isoformat()}
        ]
    }
    status |= {"approved": kept(approved)} if approved else {}
    status |= {"previous": kept(previous)} if previous else {}
    return {"metadata": {"name": "har", "namespace": "plants"}, "spec": spec, "status": status}


def release(version: str, phase: str, **status: object) -> dict:
    minutes = sum(int(part) for part in version.split("."))
    return {
        "metadata": {
            "name": f"har-{version}",
            "namespace": "plants",
            "creationTimestamp": (CREATED + timedelta(minutes=minutes)).isoformat(),
        },
        "spec": {
            "model": "har",
            "version": version,
            "storageUri": f"s3://skerry/models/har/{version}",
            "digest": digest(version),
        },
        "status": {"phase": phase, **status},
    }


def ring(name: str, order: int, tier: str) -> dict:
    return {"metadata": {"name": name}, "spec": {"order": order, "siteSelector": {"matchLabels": {"tier": tier}}}}


def site(name: str, tier: str, version: str | None, phase: str = "Serving", **status: object) -> dict:
    serving = {"namespace": "plants", "model": "har", "phase": phase}
    serving |= {"version": version, "digest": digest(version)} if version else {}
    return {
        "metadata": {"name": name, "labels": {"tier": tier}},
        "spec": {"siteClassName": "small", "hubAcceptsClient": True},
        "status": {"serving": [serving], **status},
    }


def small_fleet(kube: MemoryKube) -> None:
    """1.0.0 was, 1.1.0 is approved, 1.2.0 came back, 1.3.0 is in its first ring."""
    put(kube, MODELS, model("1.1.0", "1.0.0"))
    put(kube, MODEL_RELEASES, release("1.0.0", "Superseded"))
    put(kube, MODEL_RELEASES, release("1.1.0", "Approved"))
    put(kube, MODEL_RELEASES, release("1.2.0", "RolledBack", reason="Disagreement"))
    rings = [
        {"name": "internal", "sites": 2, "assigned": 1, "progressing": 1, "succeeded": 1},
        {"name": "fleet", "sites": 1, "unreachable": 1},
    ]
    put(kube, MODEL_RELEASES, release("1.3.0", "Progressing", ring="internal", rings=rings))
    put(kube, ROLLOUT_RINGS, ring("fleet", 2, "fleet"))
    put(kube, ROLLOUT_RINGS, ring("internal", 1, "internal"))
    put(kube, EDGE_SITES, site("site-z", "internal", "1.3.0", "Canary", lastSeen=datetime.now(UTC).isoformat()))
    put(kube, EDGE_SITES, site("site-b", "internal", "1.3.0"))
    put(kube, EDGE_SITES, site("site-a", "fleet", "1.1.0", lastSeen="2026-07-01T00:00:00Z"))
