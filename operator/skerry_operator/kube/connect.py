"""How to reach an API server: as a pod, by a kubeconfig, by a client certificate, or by a bootstrap token."""

import socket
from pathlib import Path

from kubernetes.client import Configuration
from kubernetes.config import load_incluster_config, load_kube_config
from kubernetes.config.config_exception import ConfigException
from urllib3.connection import HTTPConnection

from skerry_core.errors import UserMustActError
from skerry_core.store.metered import Meter
from skerry_operator.kube.rest import RestKube

# A connection over the open network may die without a word (NAT, a pulled cable): an idle watch is probed, and what
# was sent and not acknowledged gives up, both within half a minute.
_NOTICE_DEAD_PEERS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000),
)


def local() -> RestKube:
    """The cluster that this process runs in; outside of one, that of `KUBECONFIG` or `~/.kube/config`.

    Raises UserMustActError if there is neither.
    """
    configuration = Configuration()
    try:
        load_incluster_config(configuration)  # type: ignore[no-untyped-call]
    except ConfigException:
        try:
            load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except ConfigException as error:
            message = f"no cluster to talk to: not in a pod, and {error}; set KUBECONFIG"
            raise UserMustActError("NoKubeconfig", message) from error
    return RestKube(configuration)


def by_certificate(
    server: str, *, ca_file: Path, certificate_file: Path, key_file: Path, meter: Meter | None = None
) -> RestKube:
    """An API server by URL, authenticated by a client certificate; PEM files, read again for each new connection.

    `meter` counts what goes both ways.
    """
    configuration = _remote(server, ca_file)
    configuration.cert_file = str(certificate_file)
    configuration.key_file = str(key_file)
    return RestKube(configuration, meter)


def by_token(server: str, *, ca_file: Path, token: str, meter: Meter | None = None) -> RestKube:
    """An API server by URL, authenticated by a bearer token (a bootstrap token, say), counted as above."""
    configuration = _remote(server, ca_file)
    configuration.api_key["BearerToken"] = token
    configuration.api_key_prefix["BearerToken"] = "Bearer"
    return RestKube(configuration, meter)


def _remote(server: str, ca_file: Path) -> Configuration:
    configuration = Configuration()
    configuration.host = server.rstrip("/")
    configuration.ssl_ca_cert = str(ca_file)
    configuration.socket_options = [*HTTPConnection.default_socket_options, *_NOTICE_DEAD_PEERS]
    return configuration
