"""The site's salt: what its nodes key hashes and samples with, so that all hash alike. It never leaves the site."""

import base64
import secrets

from skerry_api.kinds import RUNTIME_NAMESPACE
from skerry_operator.kube.api import JsonObject, KubeApi
from skerry_operator.kube.resources import SECRETS
from skerry_operator.site.names import RUNTIME_LABELS, SALT

SALT_KEY = "salt"
_SALT_BYTES = 32


def keep_salt(kube: KubeApi) -> None:
    """Make the salt if there is none; one that is there is never replaced, since hashes were sent that it made.

    Nodes keep a copy, so one that is deleted has to be put back from a node's `sync/salt` for new nodes to agree.
    """
    if kube.get(SECRETS, SALT, RUNTIME_NAMESPACE) is None:
        kube.apply(SECRETS, _secret(secrets.token_bytes(_SALT_BYTES)))


def _secret(salt: bytes) -> JsonObject:
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": SALT, "namespace": RUNTIME_NAMESPACE, "labels": dict(RUNTIME_LABELS)},
        "type": "Opaque",
        "data": {SALT_KEY: base64.b64encode(salt).decode()},
    }
