"""From a request's body to its answer: decode, run, log, encode. Runs in a worker thread."""

import secrets
import threading
import time
from collections import Counter
from http import HTTPStatus

import msgspec

from skerry_edge.events.bodies import PairRecord, Prediction
from skerry_edge.events.log import StreamLog
from skerry_edge.events.record import NewRecord
from skerry_edge.inference import guardrails
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.backend import ModelRunError
from skerry_edge.inference.canary import CHAMPION, Answer, Canary, rows_of, timed_run
from skerry_edge.inference.metrics import Metrics
from skerry_edge.inference.oip.codec import decode_request, encode_response
from skerry_edge.inference.oip.errors import ProtocolError
from skerry_edge.inference.routing import Route


class Predictor:
    """Answers inference requests. Threads share it."""

    def __init__(self, site: str, node: str, log: StreamLog, metrics: Metrics) -> None:
        self._site = site
        self._node = node
        self._log = log
        self._metrics = metrics
        self._encoder = msgspec.json.Encoder()
        self._answered: Counter[ModelKey] = Counter()
        self._lock = threading.Lock()

    def answered(self, key: ModelKey) -> int:
        """Requests answered for a model since the process began."""
        return self._answered[key]

    def predict(self, route: Route, body: bytes, *, pinned: bool = False) -> bytes:
        """Answer one request; a `pinned` one asked for the champion's version and takes no part in a canary.

        Raises ProtocolError.
        """
        champion = route.champion
        if champion is None:
            raise ProtocolError(HTTPStatus.SERVICE_UNAVAILABLE, f"model {route.served_name} has no release loaded yet")
        inference = decode_request(body, champion.manifest)
        request_id = inference.id or secrets.token_hex(16)
        canary = route.canary if not pinned and route.canary is not None and route.canary.takes(request_id) else None
        try:
            answer = (
                canary.answer(inference.inputs)
                if canary is not None
                else Answer(champion, CHAMPION, timed_run(champion, inference.inputs))
            )
        except ModelRunError as error:
            raise ProtocolError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
        finite = guardrails.non_finite(answer.run.outputs)
        if finite is not None:
            raise ProtocolError(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"output {finite} of version {answer.resident.release.version} is not finite for this input",
            )
        parameters = {"variant": answer.variant}
        prediction_id = self._record(route, answer, canary, request_id)
        if prediction_id is not None:
            parameters["prediction_id"] = prediction_id
        with self._lock:
            self._answered[route.key] += 1
        self._metrics.answered(route.served_name, answer)
        return encode_response(
            model_name=route.served_name,
            manifest=answer.resident.manifest,
            request_id=request_id,
            outputs=answer.run.outputs,
            wanted=inference.outputs,
            parameters=parameters,
        )

    def _record(self, route: Route, answer: Answer, canary: Canary | None, request_id: str) -> str | None:
        """Log the prediction before it goes out; None, and no id that nobody could look up, if the disk refuses."""
        resident = answer.resident
        pair = None
        if answer.pair is not None and canary is not None:
            pair = PairRecord(
                champion=canary.champion.release.digest,
                challenger=canary.challenger.release.digest,
                champion_latency=answer.pair.champion_latency,
                challenger_latency=answer.pair.challenger_latency,
                rows=answer.pair.rows,
                disagreements=answer.pair.disagreements,
                error=answer.pair.error,
            )
        body = self._encoder.encode(
            Prediction(
                request=request_id,
                namespace=route.key.namespace,
                model=route.key.name,
                version=resident.release.version,
                digest=resident.release.digest,
                variant=answer.variant,
                latency=answer.run.seconds,
                rows=rows_of(answer.run.outputs[resident.manifest.decision.output]),
                pair=pair,
            )
        )
        now = time.time_ns() // 1000
        seq = self._log.append_soon(lambda _: NewRecord(body, now, now))
        return None if seq is None else f"{self._site}/{self._node}/{self._log.epoch}/{seq}"
