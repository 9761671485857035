"""From a request's body to its answer: decode, run, log, encode. Runs in a worker thread."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from importlib.metadata import version

import msgspec

from skerry_core.evidence.decision import decisions
from skerry_core.lineage.payload import drawn
from skerry_core.lineage.record import PairRecord, Prediction
from skerry_edge.events.log import StreamLog
from skerry_edge.events.record import NewRecord
from skerry_edge.inference import guardrails
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.backend import ModelRunError
from skerry_edge.inference.binding import NO_FEATURES, FeatureReader, Filled, fill
from skerry_edge.inference.canary import CHALLENGER, CHAMPION, Answer, Canary, Run, rows_of, timed_run
from skerry_edge.inference.drift.sampler import Sampler
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.metrics import Metrics
from skerry_edge.inference.oip.codec import Inference, decode_request, encode_response
from skerry_edge.inference.oip.errors import ProtocolError
from skerry_edge.inference.payload import with_payload
from skerry_edge.inference.routing import Route

_RUNTIME = f"skerry {version('skerry')} onnxruntime {version('onnxruntime')}"


class Predictor:
    """Answers inference requests. Threads share it."""

    def __init__(
        self,
        site: str,
        node: str,
        log: StreamLog,
        metrics: Metrics,
        features: FeatureReader = NO_FEATURES,
        sampler: Sampler | None = None,
        payloads: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`sampler` takes a few of the champion's requests aside, for drift to be told from.

        `payloads` is the share of requests whose inputs and outputs are recorded with the prediction; asked for each.
        """
        self._site = site
        self._node = node
        self._log = log
        self._metrics = metrics
        self._features = features
        self._sampler = sampler
        self._payloads = payloads
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
        filled = fill(champion.manifest, inference, self._features)
        canary = route.canary if not pinned and route.canary is not None and route.canary.takes(request_id) else None
        theirs = None if canary is None else self._fill_challenger(canary.challenger, inference)
        try:
            if canary is None or theirs is None:
                canary, answer = None, Answer(champion, CHAMPION, timed_run(champion, filled.inputs))
            else:
                answer = canary.answer(filled.inputs, theirs.inputs)
        except ModelRunError as error:
            raise ProtocolError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
        finite = guardrails.non_finite(answer.run.outputs)
        if finite is not None:
            raise ProtocolError(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"output {finite} of version {answer.resident.release.version} is not finite for this input",
            )
        parameters = {"variant": answer.variant}
        prediction_id = self._record(
            route, answer, canary, request_id, theirs if theirs is not None and answer.variant == CHALLENGER else filled
        )
        if prediction_id is not None:
            parameters["prediction_id"] = prediction_id
        with self._lock:
            self._answered[route.key] += 1
        self._metrics.answered(route.served_name, answer)
        if self._sampler is not None and answer.resident is champion:
            self._sampler.offer(route.key, champion.release.digest, filled.inputs, answer.run.outputs, filled.lineage)
        return encode_response(
            model_name=route.served_name,
            manifest=answer.resident.manifest,
            request_id=request_id,
            outputs=answer.run.outputs,
            wanted=inference.outputs,
            parameters=parameters,
        )

    def _fill_challenger(self, challenger: Resident, inference: Inference) -> Filled | None:
        """None if its features aren't to be had for this request, which is then none of its canary's."""
        try:
            return fill(challenger.manifest, inference, self._features)
        except ProtocolError as error:
            self._metrics.challenger_unfilled(challenger.release.version, error.status)
            return None

    def _record(
        self, route: Route, answer: Answer, canary: Canary | None, request_id: str, filled: Filled
    ) -> str | None:
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
                decided=None if answer.other is None else _decided(canary.champion, answer.other),
            )
        record = Prediction(
            request=request_id,
            namespace=route.key.namespace,
            model=route.key.name,
            version=resident.release.version,
            digest=resident.release.digest,
            variant=answer.variant,
            latency=answer.run.seconds,
            rows=rows_of(answer.run.outputs[resident.manifest.decision.output]),
            pair=pair,
            entity=dict(filled.entity),
            features=filled.lineage,
            given=filled.given,
            runtime=_RUNTIME,
            preprocessing_version=resident.manifest.preprocessing_version or "",
            decided=_decided(resident, answer.run),
        )
        body = self._encoder.encode(record)
        now = time.time_ns() // 1000
        share = self._payloads()

        def make(seq: int) -> NewRecord:
            if not share or not drawn(self._id(seq), share):
                return NewRecord(body, now, now)
            return NewRecord(with_payload(record, body, resident.manifest, filled.inputs, answer.run.outputs), now, now)

        seq = self._log.append_soon(make)
        return None if seq is None else self._id(seq)

    def _id(self, seq: int) -> str:
        return f"{self._site}/{self._node}/{self._log.epoch}/{seq}"


def _decided(resident: Resident, run: Run) -> tuple[float, ...] | None:
    decision = resident.manifest.decision
    return decisions(decision, run.outputs[decision.output])
