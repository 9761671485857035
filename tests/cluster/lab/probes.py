"""Asking a cluster's parts whether they are well, from inside its own network: a cut link must not matter."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

from . import namespaces
from .components import KUBELET_HEALTH_PORT, PROXY_HEALTH_PORT
from .layout import API_PORT

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import ClusterSpec

_SECONDS = 3.0


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket that was opened elsewhere."""

    def __init__(self, host: str, ready: socket.socket) -> None:
        super().__init__(host)
        self.sock = ready


@cache
def _client_context(pki: Path, _birth: int) -> ssl.SSLContext:
    """TLS as the cluster's administrator; ``_birth`` keeps a re-made cluster from meeting its forebear's keys."""
    context = ssl.create_default_context(cafile=str(pki / "server-ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return context


def get(netns: Path, address: tuple[str, int], path: str, *, context: ssl.SSLContext | None = None) -> bytes | None:
    """Body of a 200 answer to GET ``path``, asked from inside ``netns``; None for anything else."""
    try:
        plain = namespaces.connect(netns, address, seconds=_SECONDS)
        ready = context.wrap_socket(plain, server_hostname=address[0]) if context else plain
    except OSError:
        return None
    connection = _Connection(address[0], ready)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    else:
        return body if response.status == http.HTTPStatus.OK else None
    finally:
        connection.close()


def _api_get(spec: ClusterSpec, path: str) -> bytes | None:
    try:
        context = _client_context(spec.pki, (spec.pki / "admin.crt").stat().st_mtime_ns)
    except OSError:
        return None
    return get(spec.netns_path, (spec.address, API_PORT), path, context=context)


def api_ready(spec: ClusterSpec) -> bool:
    return _api_get(spec, "/readyz") is not None


def account_exists(spec: ClusterSpec) -> bool:
    """Whether the controller-manager has made the default service account, without which no pod is admitted."""
    return _api_get(spec, "/api/v1/namespaces/default/serviceaccounts/default") is not None


def node_heartbeat(spec: ClusterSpec) -> str | None:
    """Time (RFC 3339, so strings compare) at which the node last reported itself Ready; None if it isn't."""
    body = _api_get(spec, f"/api/v1/nodes/{spec.node_name}")
    if body is None:
        return None
    node: dict[str, Any] = json.loads(body)
    for condition in node.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return str(condition["lastHeartbeatTime"])
    return None


def kubelet_healthy(spec: ClusterSpec) -> bool:
    return get(spec.netns_path, ("127.0.0.1", KUBELET_HEALTH_PORT), "/healthz") is not None


def proxy_healthy(spec: ClusterSpec) -> bool:
    return get(spec.netns_path, ("127.0.0.1", PROXY_HEALTH_PORT), "/livez") is not None


def socket_open(path: Path) -> bool:
    """Whether somebody listens on the Unix socket at ``path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
