"""kopf's part at the hub: it watches, and hands every change on. Its handlers write nothing.

Event handlers only, on purpose: they add neither finalizers nor annotations to what users wrote, so uninstalling
strands nothing and GitOps sees no drift. Retries are the work queue's, by the class of the error.
"""

from typing import Any, cast

import kopf

from skerry_operator.hub.inventory import WATCHED
from skerry_operator.hub.process import HubProcess
from skerry_operator.kube.api import FIELD_MANAGER, JsonObject
from skerry_operator.kube.resources import Resource


def configure(settings: kopf.OperatorSettings) -> None:
    """Set what kopf needs to know; see the house rules for why each."""
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.networking.request_timeout = 30
    settings.persistence.finalizer = f"{FIELD_MANAGER}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=FIELD_MANAGER)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=FIELD_MANAGER)


def register(registry: kopf.OperatorRegistry, process: HubProcess) -> None:
    """Watch every kind that the hub decides from, with the credential that the official client finds."""
    kopf.on.login(registry=registry)(kopf.login_via_client)
    for resource in WATCHED:
        where = (resource.group, resource.version, resource.plural)
        kopf.on.event(*where, registry=registry, id="observe")(_observer(process, resource))
    kopf.on.probe(registry=registry, id="workers")(liveness(process))


def liveness(process: HubProcess) -> Any:
    """What fails the liveness endpoint when nothing that is seen would be acted on."""

    async def workers(**_: Any) -> str:
        if not process.queue.works:
            # Of this class, as kopf would try any other again while the probe waits.
            raise kopf.PermanentError("the workers don't run: the hub's objects can't be listed, or a worker died")
        return "run"

    return workers


def _observer(process: HubProcess, resource: Resource) -> Any:
    async def observe(event: kopf.RawEvent, **_: Any) -> None:
        process.observe(resource, event["type"], cast("JsonObject", event["object"]))

    return observe
