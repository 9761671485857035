"""The events port: `POST /v1/streams/{stream}/events`.

Answers 200 with `accepted`, `duplicates`, `rejected` (index, reason, message), `logEpoch`, `first` and `last` when at
least one event is durable (or the request had none); 400 with the same if every event was malformed, 413 if every one
was too large. Other answers have `error` (one word) and `message`: 401 and 403 where producers are known (`producers`),
404 with the streams that there are, 405, 413, 415, 429 and 503 with `retry-after`, 507 if disk or stream is full.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec

from skerry_edge.http.message import Request, Response
from skerry_edge.inference.workers import Busy, Workers
from skerry_edge.ingest.errors import Malformed, MalformedError, RefusedError
from skerry_edge.ingest.http_binding import read_events
from skerry_edge.ingest.intake import Intake, Outcome
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.stream import Stream
from skerry_edge.ingest.streams import Streams

_HTTP = "http"
_MAX_REJECTED = 100

_encode = msgspec.json.Encoder().encode
_WORDS = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "RequestTooLarge",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "HeadersTooLarge",
    HTTPStatus.SERVICE_UNAVAILABLE: "Busy",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
}


def error_body(status: HTTPStatus, message: str) -> Response:
    """An error of the server itself, in this port's words."""
    return _error(RefusedError(status, _WORDS.get(status, "BadRequest"), message, retry_after=_patience(status)))


class EventService:
    """Answers in the event loop; parsing and storing run in workers of their own, so that inference never waits."""

    def __init__(
        self,
        streams: Streams,
        intake: Intake,
        workers: Workers,
        metrics: IngestMetrics,
        admit: Callable[[str, str | None], None],
    ) -> None:
        """`admit` is given a stream's name and the header `authorization`, and raises RefusedError to refuse."""
        self._admit = admit
        self._streams = streams
        self._intake = intake
        self._workers = workers
        self._metrics = metrics

    async def handle(self, request: Request) -> Response:
        """Answer any request."""
        try:
            return await self._dispatch(request)
        except RefusedError as error:
            self._metrics.refused.labels(_HTTP, error.reason).inc()
            return _error(error)

    async def _dispatch(self, request: Request) -> Response:
        match [unquote(part) for part in request.path.strip("/").split("/")]:
            case ["v1", "streams", name, "events"]:
                if request.method != "POST":
                    raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", "use POST")
                self._admit(name, request.headers.get("authorization"))
                stream = self._streams.find(name)
            case _:
                raise RefusedError(HTTPStatus.NOT_FOUND, "NoSuchPath", "events go to /v1/streams/NAME/events")
        try:
            future = self._workers.submit(lambda: self._take(stream, request))
        except Busy as error:
            message = "too many requests are waiting"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "Busy", message, retry_after=1.0) from error
        return await asyncio.wrap_future(future)

    def _take(self, stream: Stream, request: Request) -> Response:
        def parse() -> Sequence[Any]:
            try:
                return read_events(request, stream.policy.name)
            except MalformedError as error:
                return [Malformed(error.reason, str(error), request.body)]

        outcome = self._intake.take(stream, parse, via=_HTTP, origin=lambda _: f"http:{request.client}")
        return _answer(outcome, stream.log.epoch)


def _answer(outcome: Outcome, epoch: str) -> Response:
    receipt, rejected = outcome.receipt, outcome.rejected
    body: dict[str, Any] = {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": [
            {"index": index, "reason": malformed.reason, "message": malformed.message}
            for index, malformed in rejected[:_MAX_REJECTED]
        ],
        "logEpoch": epoch,
        "first": receipt.first,
        "last": receipt.last,
    }
    if len(rejected) > _MAX_REJECTED:
        body["rejectedInAll"] = len(rejected)
    if not rejected or receipt.accepted or receipt.duplicates:
        return Response(HTTPStatus.OK, _encode(body))
    all_large = all(malformed.reason == "TooLarge" for _, malformed in rejected)
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if all_large else HTTPStatus.BAD_REQUEST
    body |= {"error": rejected[0][1].reason, "message": rejected[0][1].message}
    return Response(status, _encode(body))


def _error(error: RefusedError) -> Response:
    headers = {"retry-after": str(max(1, math.ceil(error.retry_after)))} if error.retry_after is not None else {}
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    return Response(error.status, _encode({"error": error.reason, "message": str(error)}), headers=headers)


def _patience(status: HTTPStatus) -> float | None:
    return 1.0 if status is HTTPStatus.SERVICE_UNAVAILABLE else None
