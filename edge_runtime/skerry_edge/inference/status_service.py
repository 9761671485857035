"""The node's own port: probes, metrics, status and evidence."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import unquote

import msgspec

from skerry_core.errors import SkerryError
from skerry_edge.features.features import Features
from skerry_edge.http.message import Request, Response
from skerry_edge.inference.features import entity_features
from skerry_edge.inference.metrics import CONTENT_TYPE, Metrics
from skerry_edge.inference.report import Reporter
from skerry_edge.lineage.node import NodeLineage, PredictionNotFoundError

_FEATURES = "/v1/features/"
_PREDICTIONS = "/v1/predictions/"
_SET_AND_ENTITY = 3
_TEXT = "text/plain; charset=utf-8"


def plain_error(status: HTTPStatus, message: str) -> Response:
    """An error for people and probes."""
    return Response(status, message.encode() + b"\n", _TEXT)


class StatusService:
    """Answers probes in the event loop; what reads the disk or many counters runs in a thread."""

    def __init__(
        self,
        reporter: Reporter,
        metrics: Metrics,
        *,
        alive: Callable[[], bool],
        ready: Callable[[], bool],
        features: Features | None = None,
        lineage: NodeLineage | None = None,
    ) -> None:
        self._reporter = reporter
        self._metrics = metrics
        self._alive = alive
        self._ready = ready
        self._features = features
        self._lineage = lineage
        # Looking through a log takes a core and a disk, so it is done for one at a time.
        self._explaining = asyncio.Lock()

    async def handle(self, request: Request) -> Response:  # noqa: PLR0911 - one for each path
        """Answer any request."""
        if request.method not in {"GET", "HEAD"}:
            return plain_error(HTTPStatus.METHOD_NOT_ALLOWED, "use GET")
        match request.path:
            case "/livez":
                return _probe(self._alive())
            case "/readyz":
                return _probe(self._ready())
            case "/metrics":
                return Response(HTTPStatus.OK, await asyncio.to_thread(self._metrics.exposition), CONTENT_TYPE)
            case "/status":
                return Response(HTTPStatus.OK, await asyncio.to_thread(self._reporter.status))
            case "/evidence":
                return Response(HTTPStatus.OK, await asyncio.to_thread(self._reporter.evidence))
            case path if path.startswith(_FEATURES) and self._features is not None:
                # An entity of several parts takes as many segments.
                parts = [unquote(part) for part in path.removeprefix(_FEATURES).split("/")]
                if len(parts) >= _SET_AND_ENTITY:
                    return await asyncio.to_thread(
                        entity_features, self._features, parts[0], parts[1], tuple(parts[2:])
                    )
                return plain_error(HTTPStatus.NOT_FOUND, "say /v1/features/{namespace}/{set}/{entity}")
            case path if path.startswith(_PREDICTIONS) and self._lineage is not None:
                return await self._explain(self._lineage, unquote(path.removeprefix(_PREDICTIONS)))
            case _:
                return plain_error(HTTPStatus.NOT_FOUND, "no such path")

    async def _explain(self, lineage: NodeLineage, prediction: str) -> Response:
        if self._explaining.locked():
            return plain_error(HTTPStatus.SERVICE_UNAVAILABLE, "another prediction is just being explained")
        async with self._explaining:
            try:
                found = await asyncio.to_thread(lineage.explain, prediction)
            except PredictionNotFoundError as error:
                return plain_error(HTTPStatus.NOT_FOUND, str(error))
            except SkerryError as error:
                return plain_error(HTTPStatus.BAD_REQUEST, str(error))
            except OSError as error:
                return plain_error(HTTPStatus.SERVICE_UNAVAILABLE, f"the log can't be read: {error}")
        return Response(HTTPStatus.OK, msgspec.json.encode(found))


def _probe(holds: bool) -> Response:  # noqa: FBT001 - it is the whole question
    return Response(HTTPStatus.OK, b"ok\n", _TEXT) if holds else plain_error(HTTPStatus.SERVICE_UNAVAILABLE, "not yet")
