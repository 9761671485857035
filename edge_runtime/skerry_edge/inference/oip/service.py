"""The Open Inference Protocol v2 over HTTP: paths to answers.

Source: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from importlib.metadata import version
from urllib.parse import unquote

import msgspec

from skerry_core.bundle.manifest import TensorSpec
from skerry_edge.http.message import Request, Response
from skerry_edge.inference.metrics import Metrics
from skerry_edge.inference.oip import messages
from skerry_edge.inference.oip.errors import ProtocolError
from skerry_edge.inference.prediction import Predictor
from skerry_edge.inference.routing import Route, Routes
from skerry_edge.inference.workers import Busy, Workers

PLATFORM = "onnxruntime_onnx"
_encode = msgspec.json.Encoder().encode


def error_body(status: HTTPStatus, message: str) -> Response:
    """An error as OIP words it."""
    headers = {"retry-after": "1"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(status, _encode(messages.ErrorResponse(message)), headers=headers)


class OipService:
    """Answers lookups in the event loop and inference in worker threads, so that health never waits for a model."""

    def __init__(
        self, routes: Routes, predictor: Predictor, workers: Workers, metrics: Metrics, ready: Callable[[], bool]
    ) -> None:
        self._routes = routes
        self._predictor = predictor
        self._workers = workers
        self._metrics = metrics
        self._ready = ready
        self._metadata = _encode(messages.ServerMetadata("skerry", version("skerry"), []))

    async def handle(self, request: Request) -> Response:
        """Answer any request."""
        try:
            return await self._dispatch(request)
        except ProtocolError as error:
            self._metrics.refused(error.status)
            return error_body(error.status, str(error))

    async def _dispatch(self, request: Request) -> Response:
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        match parts:
            case ["v2"]:
                _require(request, "GET")
                return Response(HTTPStatus.OK, self._metadata)
            case ["v2", "health", "live"]:
                _require(request, "GET")
                return Response(HTTPStatus.OK, _encode(messages.ServerLive(live=True)))
            case ["v2", "health", "ready"]:
                _require(request, "GET")
                ready = self._ready()
                return Response(_ok_if(ready), _encode(messages.ServerReady(ready=ready)))
            case ["v2", "models", name, *rest]:
                return await self._model(request, self._route(name), rest)
            case _:
                raise ProtocolError(HTTPStatus.NOT_FOUND, f"no such path: {request.path[:200]}")

    async def _model(self, request: Request, route: Route, rest: list[str]) -> Response:
        match rest:
            case ["versions", wanted, *rest_of_version]:
                _require_version(route, wanted)
                pinned, action = True, rest_of_version
            case _:
                pinned, action = False, rest
        match action:
            case []:
                _require(request, "GET")
                return _metadata(route)
            case ["ready"]:
                _require(request, "GET")
                ready = route.champion is not None
                return Response(_ok_if(ready), _encode(messages.ModelReady(route.served_name, ready=ready)))
            case ["infer"]:
                _require(request, "POST")
                return await self._infer(request, route, pinned=pinned)
            case _:
                raise ProtocolError(HTTPStatus.NOT_FOUND, f"no such path: {request.path[:200]}")

    async def _infer(self, request: Request, route: Route, *, pinned: bool) -> Response:
        if "inference-header-content-length" in request.headers:
            raise ProtocolError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "binary tensors are not supported, send JSON")
        try:
            future = self._workers.submit(lambda: self._predictor.predict(route, request.body, pinned=pinned))
        except Busy as error:
            raise ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are waiting") from error
        return Response(HTTPStatus.OK, await asyncio.wrap_future(future))

    def _route(self, name: str) -> Route:
        route = self._routes.find(name)
        if route is None:
            raise ProtocolError(HTTPStatus.NOT_FOUND, f"no model is served as {name[:200]!r}")
        return route


def _ok_if(ready: bool) -> HTTPStatus:  # noqa: FBT001 - it is the whole question
    return HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE


def _require(request: Request, method: str) -> None:
    if request.method != method and not (method == "GET" and request.method == "HEAD"):
        raise ProtocolError(HTTPStatus.METHOD_NOT_ALLOWED, f"use {method}")


def _require_version(route: Route, wanted: str) -> None:
    if route.champion is None or route.champion.release.version != wanted:
        raise ProtocolError(HTTPStatus.NOT_FOUND, f"{route.served_name} does not serve version {wanted[:64]!r}")


def _metadata(route: Route) -> Response:
    champion = route.champion
    if champion is None:
        raise ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, f"model {route.served_name} has no release loaded yet")
    return Response(
        HTTPStatus.OK,
        _encode(
            messages.ModelMetadata(
                name=route.served_name,
                versions=[champion.release.version],
                platform=PLATFORM,
                inputs=_tensors(champion.manifest.inputs),
                outputs=_tensors(champion.manifest.outputs),
            )
        ),
    )


def _tensors(specs: tuple[TensorSpec, ...]) -> list[messages.TensorMetadata]:
    return [messages.TensorMetadata(spec.name, spec.datatype, spec.shape) for spec in specs]
