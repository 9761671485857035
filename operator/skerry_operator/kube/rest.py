"""KubeApi over HTTPS, by the official client's transport (kubeconfig, rotating tokens, proxies, client certificates).

Its generated models are left out on purpose: our own kinds are pydantic models, and the rest is passed through.
"""

import json
import time
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import OpenApiException

from skerry_core.store.metered import Meter, count
from skerry_operator.kube.api import FIELD_MANAGER, JsonObject, Listing, WatchEvent
from skerry_operator.kube.errors import NotServedError, UnavailableError, of_status
from skerry_operator.kube.resources import Resource

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
# For a whole answer, whose every part comes within the time of a read.
_ANSWER_SECONDS = 120.0
_PAGE = 500
_MAX_LINE_BYTES = 4 << 20
# An API server takes objects of 3 MiB at most, and few are as large.
_MAX_OBJECT_BYTES = 8 << 20
_MAX_PAGE_BYTES = 256 << 20
_CHUNK = 1 << 16


class RestKube:
    """One API server, with the credential of its configuration. Safe to share between threads."""

    def __init__(self, configuration: Configuration, meter: Meter | None = None) -> None:
        """`meter` is told of every byte that goes either way."""
        # Failures surface at once: the caller's error class is the only retry policy.
        configuration.retries = False
        self._configuration = configuration
        self._client = ApiClient(configuration)
        if meter is not None:
            count(self._client.rest_client.pool_manager, meter)

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> JsonObject | None:
        try:
            return self._call("GET", resource.path(namespace, name))
        except NotServedError:
            return None

    def list(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> Listing:
        items: list[JsonObject] = []
        query = {"limit": str(_PAGE)} | ({"labelSelector": label_selector} if label_selector else {})
        while True:
            page = self._call("GET", resource.path(namespace), query, most=_MAX_PAGE_BYTES)
            # Items of a list come without their type; callers get whole objects.
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            items += [{**kind, **item} for item in page.get("items") or ()]
            if not (token := page["metadata"].get("continue")):
                return Listing(tuple(items), page["metadata"]["resourceVersion"])
            query["continue"] = token

    def create(self, resource: Resource, body: JsonObject) -> JsonObject:
        path = resource.path(body["metadata"].get("namespace"))
        return self._call("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    def replace(self, resource: Resource, body: JsonObject, subresource: str = "") -> JsonObject:
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        return self._call("PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    def apply(self, resource: Resource, body: JsonObject, subresource: str = "") -> JsonObject:
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return self._call("PATCH", path, query, whole, "application/apply-patch+yaml")

    def patch(self, resource: Resource, name: str, namespace: str | None, body: JsonObject) -> JsonObject:
        path = resource.path(namespace, name)
        return self._call("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, "application/merge-patch+json")

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        try:
            self._call("DELETE", resource.path(namespace, name))
        except NotServedError:
            return

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str | None = None,
        name: str | None = None,
        timeout: float,
    ) -> Iterator[WatchEvent]:
        query = {
            "watch": "true",
            "resourceVersion": since,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(max(1, int(timeout))),
        }
        if name:
            query["fieldSelector"] = f"metadata.name={name}"
        path = resource.path(namespace)
        # The server ends the watch after `timeout`; a connection that died silently is noticed shortly after.
        with self._open("GET", path, query, read_timeout=timeout + _CONNECT_SECONDS) as response:
            for line in _lines(response, f"watch {path}"):
                event = _parse(line, f"watch {path}")
                if event.get("type") == "ERROR":
                    raise of_status(event["object"].get("code", 500), event["object"], f"watch {path}")
                yield WatchEvent(event["type"], event["object"])

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
        most: int = _MAX_OBJECT_BYTES,
    ) -> JsonObject:
        with self._open(method, path, query or {}, body, content_type) as response:
            data = _read(response, most, f"{method} {path}")
        return _parse(data, f"{method} {path}")

    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: JsonObject | None = None,
        content_type: str = "application/json",
        read_timeout: float = _READ_SECONDS,
    ) -> urllib3.HTTPResponse:
        url = self._configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": FIELD_MANAGER}
        try:
            self._client.update_params_for_auth(headers, None, ["BearerToken"], path, method, body)
            answer = self._client.rest_client.request(  # type: ignore[no-untyped-call]
                method,
                url,
                headers=headers,
                # The transport can't encode apply patches: YAML by name, of which JSON is a part.
                body=json.dumps(body) if content_type.endswith("yaml") else body,
                _request_timeout=(_CONNECT_SECONDS, read_timeout),
            )
        except (urllib3.exceptions.HTTPError, OpenApiException, OSError) as error:
            raise UnavailableError("ApiUnavailable", f"{method} {path}: {error}") from error
        response = cast("urllib3.HTTPResponse", answer.response)
        if response.status >= 300:  # noqa: PLR2004 - API servers don't redirect; something in between does
            with response:
                document = _status_document(response)
            raise of_status(response.status, document, f"{method} {path}")
        return response


def _read(response: urllib3.HTTPResponse, most: int, request: str) -> bytes:
    """A whole answer, of at most so many bytes, in bounded time."""
    pieces: list[bytes] = []
    left, deadline = most, time.monotonic() + _ANSWER_SECONDS
    try:
        while piece := response.read1(_CHUNK):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise UnavailableError("NotAnApiServer", f"{request}: an answer of more than {most} bytes")
            if time.monotonic() > deadline:
                raise UnavailableError("ApiUnavailable", f"{request}: the answer was not whole in time")
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError("ApiUnavailable", f"{request}: {error}") from error
    return b"".join(pieces)


def _lines(response: urllib3.HTTPResponse, request: str) -> Iterator[bytes]:
    pending = b""
    try:
        for chunk in response.stream(65536):
            *lines, pending = (pending + chunk).split(b"\n")
            yield from filter(None, lines)
            if len(pending) > _MAX_LINE_BYTES:
                raise UnavailableError("NotAnApiServer", f"{request}: an event of more than {_MAX_LINE_BYTES} bytes")
    except urllib3.exceptions.ReadTimeoutError:
        return
    except urllib3.exceptions.HTTPError as error:
        raise UnavailableError("ApiUnavailable", f"{request}: {error}") from error


def _parse(data: bytes, request: str) -> JsonObject:
    try:
        document: Any = json.loads(data)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        # A captive portal or a proxy's login page answers 200 with HTML.
        raise UnavailableError("NotAnApiServer", f"{request}: the answer is no JSON object; is a proxy in between?")
    return document


def _status_document(response: urllib3.HTTPResponse) -> Any:
    try:
        return json.loads(response.read(1 << 20))
    except (ValueError, urllib3.exceptions.HTTPError):
        return None
