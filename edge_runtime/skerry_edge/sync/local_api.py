"""The site's Kubernetes API as sync uses it: follow objects, write one. The only module that talks to it.

A few requests don't need a client library that costs 10 to 33 MiB of the node's memory.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError

from skerry_api.kinds import RUNTIME_NAMESPACE
from skerry_api.v1alpha1.fields import GROUP, VERSION
from skerry_core.errors import RetryError, SkerryError, UserMustActError, WaitError
from skerry_core.store.metered import Meter, MeteredPool

ASSIGNMENTS = f"/apis/{GROUP}/{VERSION}/namespaces/{RUNTIME_NAMESPACE}/siteassignments"
SECRETS = f"/api/v1/namespaces/{RUNTIME_NAMESPACE}/secrets"
_NODES = f"/apis/{GROUP}/{VERSION}/runtimenodes"

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
MAX_NODES = 500
# The server ends a watch after this long, spread so that nodes don't come back in step. A watch that brings nothing
# for READ_SECONDS more is dead: half-open connections look just like quiet ones.
WATCH_SECONDS = (60, 120)

_MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
_BEARER_FILE = "token"
_CA_FILE = "ca.crt"

Object = dict[str, Any]


@dataclass(frozen=True)
class LocalApi:
    """An API server's address, and the folder with `token` and `ca.crt`.

    Both files are read for every request: the kubelet replaces the token long before it ends. `meter` is told of every
    byte.
    """

    server: str
    credentials: Path
    meter: Meter | None = None

    def follow(self, collection: str, name: str, seen: Callable[[Object], None]) -> None:
        """Call `seen` with the object as it is now and with every later version, until the server ends the watch.

        Returns after one to two minutes, or at once when the server forgot where the watch stood (410); called again,
        it starts from the object as it is, so no change is ever missed for longer. An object that isn't there, or goes,
        is not told. Raises WaitError or RetryError, and whatever `seen` raises.
        """

        def listed(items: Sequence[Object]) -> None:
            for item in items:
                seen(item)

        self._follow(collection, {"fieldSelector": f"metadata.name={name}"}, listed, seen)

    def follow_nodes(self, listed: Callable[[Sequence[Object]], None], seen: Callable[[Object], None]) -> None:
        """The same with all RuntimeNodes: `listed` is told of those that are there, `seen` of later versions."""
        self._follow(_NODES, {}, listed, seen)

    def _follow(
        self,
        collection: str,
        selected: Mapping[str, str],
        listed: Callable[[Sequence[Object]], None],
        seen: Callable[[Object], None],
    ) -> None:
        with self._session() as session:
            listing = session.request("GET", collection, selected)
            with _converting():
                items, version = listing.get("items") or (), listing["metadata"]["resourceVersion"]
            listed(items)
            seconds = random.randint(*WATCH_SECONDS)  # noqa: S311 - a spread
            watch = {
                **selected,
                "watch": "true",
                "resourceVersion": version,
                "timeoutSeconds": str(seconds),
            }
            for kind, found in session.stream(collection, watch, seconds + READ_SECONDS):
                match kind:
                    case "ADDED" | "MODIFIED":
                        seen(found)
                    case "ERROR" if found.get("code") == HTTPStatus.GONE:
                        return
                    case "ERROR":
                        raise RetryError("ApiUnavailable", f"the watch ended: {found.get('message')}")

    def nodes(self) -> list[Object]:
        """The RuntimeNodes of the site, the first MAX_NODES of them. Raises SkerryError."""
        with self._session() as session:
            listing = session.request("GET", _NODES, {"limit": str(MAX_NODES)})
            with _converting():
                return [dict(item) for item in listing.get("items") or ()]

    def write_node_status(self, name: str, status: Object) -> int:
        """Merge a status into this node's RuntimeNode, which is made if it isn't there; the object's generation.

        Writing what is already there changes nothing, not even the resourceVersion. Raises SkerryError.
        """
        path = f"{_NODES}/{name}"
        body = {"status": status}
        with self._session() as session:
            try:
                node = session.request("PATCH", f"{path}/status", body=body, headers=_MERGE_PATCH)
            except _NotFoundError:
                new = {
                    "apiVersion": f"{GROUP}/{VERSION}",
                    "kind": "RuntimeNode",
                    "metadata": {"name": name},
                    "spec": {"nodeName": name},
                }
                session.request("POST", _NODES, body=new)
                node = session.request("PATCH", f"{path}/status", body=body, headers=_MERGE_PATCH)
            with _converting():
                return int(node["metadata"]["generation"])

    @contextmanager
    def _session(self) -> Iterator["_Session"]:
        try:
            bearer = (self.credentials / _BEARER_FILE).read_text().strip()
        except OSError as error:
            raise RetryError("ApiUnauthorized", f"the service account's token can't be read: {error}") from error
        ca = self.credentials / _CA_FILE
        with MeteredPool(
            self.meter,
            headers={"Authorization": f"Bearer {bearer}", "Accept": "application/json"},
            ca_certs=str(ca) if ca.exists() else None,
            retries=False,
        ) as pool:
            yield _Session(pool, self.server)


class _NotFoundError(WaitError):
    """There is no such object, or no such kind."""


@dataclass(frozen=True)
class _Session:
    pool: urllib3.PoolManager
    server: str

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Object:
        """Ask, and give the answer's JSON."""
        with _converting():
            response = self.pool.request(
                method,
                self._url(path, query),
                json=body,
                headers={**self.pool.headers, **(headers or {})},
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            )
            _check(response)
            return dict(json.loads(response.data))

    def stream(self, path: str, query: Mapping[str, str], silence: float) -> Iterator[tuple[str, Object]]:
        """Yield a watch's events, each with its object. What the reader of these raises stays as it is."""
        with _converting():
            response = self.pool.request(
                "GET",
                self._url(path, query),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=silence),
                preload_content=False,
            )
            try:
                _check(response)
                for line in response:
                    event = json.loads(line)
                    yield event["type"], event["object"]
            finally:
                response.close()

    def _url(self, path: str, query: Mapping[str, str] | None) -> str:
        return f"{self.server}{path}?{urlencode(query)}" if query else f"{self.server}{path}"


@contextmanager
def _converting() -> Iterator[None]:
    """Convert what the connection raises, and what reading an answer of another form does."""
    try:
        yield
    except (HTTPError, LocationParseError, OSError) as error:
        raise RetryError("ApiUnavailable", f"the site's API server can't be reached: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise RetryError("ApiUnavailable", f"the site's API server answers something else: {error}") from error


def _check(response: urllib3.BaseHTTPResponse) -> None:
    """Raise what a bad status means for whoever retries."""
    if response.status < HTTPStatus.BAD_REQUEST:
        return
    try:
        message = json.loads(response.data).get("message", "")
    except (ValueError, AttributeError):
        message = response.reason or ""
    raise _error(response.status, f"the site's API server answered {response.status}: {message}")


def _error(status: int, message: str) -> SkerryError:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return RetryError("ApiUnauthorized", message)
        case HTTPStatus.FORBIDDEN:
            return WaitError("ApiForbidden", f"{message}; check the role of service account skerry-runtime")
        case HTTPStatus.NOT_FOUND:
            return _NotFoundError("ApiNotFound", f"{message}; are the site chart's CRDs installed?")
        case HTTPStatus.CONFLICT:
            return RetryError("ApiConflict", message)
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            return UserMustActError("ApiRejected", message)
        case _:
            return RetryError("ApiUnavailable", message)
