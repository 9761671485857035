"""One GET to a port of a pod, through the API server, as `kubectl port-forward` reaches it.

It comes out on the pod's own loopback, so no NetworkPolicy has to let anybody in. The only module that opens streams.
"""

import http.client
import socket
from contextlib import closing
from http import HTTPStatus
from typing import Any

from kubernetes.client import ApiClient, Configuration, CoreV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward

from skerry_operator.kube.errors import UnavailableError, of_status

_SECONDS = 30.0
_MAX_BYTES = 8 << 20


class _Forwarded(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    def __init__(self, connected: Any) -> None:
        super().__init__("localhost")
        self._connected = connected

    def connect(self) -> None:
        self.sock = self._connected


def get_from_pod(
    configuration: Configuration, namespace: str, pod: str, port: int, path: str
) -> tuple[HTTPStatus, bytes]:
    """The pod's answer; ForbiddenError, NotServedError or UnavailableError if it can't be asked."""
    request = f"port {port} of pod {namespace}/{pod}"
    try:
        forward = portforward(
            CoreV1Api(ApiClient(configuration)).connect_get_namespaced_pod_portforward, pod, namespace, ports=str(port)
        )
    except ApiException as error:
        raise of_status(error.status or 0, {"message": error.reason}, request) from error
    connected = forward.socket(port)
    try:
        connected.settimeout(_SECONDS)
        with closing(_Forwarded(connected)) as connection:
            connection.request("GET", path, headers={"Connection": "close"})
            answer = connection.getresponse()
            data = answer.read(_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        why = "it didn't answer in time" if isinstance(error, socket.timeout) else forward.error(port) or error
        raise UnavailableError("PodUnavailable", f"{request}: {why}") from error
    finally:
        forward.close()
    if len(data) > _MAX_BYTES:
        raise UnavailableError("PodUnavailable", f"{request}: it answers with more than {_MAX_BYTES} bytes")
    return HTTPStatus(answer.status), data
