"""kopf's part at a site: it watches the mirrored assignment and wakes the observer. Its handler writes nothing.

Event handlers only, on purpose: they add neither finalizers nor annotations, so uninstalling strands nothing.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import kopf

from skerry_api.kinds import ASSIGNMENT_NAME
from skerry_api.v1alpha1.fields import GROUP, VERSION
from skerry_operator.kube.api import FIELD_MANAGER


def configure(settings: kopf.OperatorSettings) -> None:
    """Set what kopf needs to know; see the house rules for why each."""
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.networking.request_timeout = 30
    settings.persistence.finalizer = f"{FIELD_MANAGER}/kopf"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=FIELD_MANAGER)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=FIELD_MANAGER)


def register(registry: kopf.OperatorRegistry, wake: Callable[[], None]) -> None:
    """Call `wake` whenever the assignment's spec may have changed."""
    kopf.on.login(registry=registry)(_log_in)
    seen: set[int | None] = set()

    async def assignment_changed(name: str | None, meta: kopf.Meta, **_: Any) -> None:
        # Our own writes of the status leave the generation alone.
        if name == ASSIGNMENT_NAME and meta.get("generation") not in seen:
            seen.clear()
            seen.add(meta.get("generation"))
            wake()

    kopf.on.event(GROUP, VERSION, "siteassignments", registry=registry, id="observe")(assignment_changed)


def _log_in(**kwargs: Any) -> kopf.ConnectionInfo | None:
    """As the pod's service account; outside of a cluster as the kubeconfig says.

    kopf calls the API server by its DNS name. The address that the kubelet gave works while cluster DNS doesn't.
    """
    account = kopf.login_with_service_account(**kwargs)
    if account is None:
        return kopf.login_with_kubeconfig(**kwargs)
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return replace(account, server=f"https://{f'[{host}]' if ':' in host else host}:{port}")
