"""Explains a node's own predictions from its disk alone: its logs, and the documents in its store folder."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from pydantic import ValidationError

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core.batch.flags import Flags
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, Manifest
from skerry_core.errors import SkerryError, UserMustActError
from skerry_core.features.definition import MAX_DOCUMENT_BYTES, FeatureSetDocument
from skerry_core.lineage.explain import Found, explain, wanted
from skerry_core.lineage.explanation import Explanation
from skerry_core.lineage.record import Prediction, RecordId
from skerry_edge.events.holes import HoleReason
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import Record
from skerry_edge.lineage.rescan import Limits, log_folders, rescan

_GONE = {
    HoleReason.SKIPPED: "that number was never given out",
    HoleReason.DAMAGED: "it is damaged on this node's disk",
    HoleReason.EXPIRED: "it expired on this node; if it was uploaded before, the hub has it",
    HoleReason.REMOVED: "it was uploaded and removed from this node: ask the hub",
}


class PredictionNotFoundError(UserMustActError):
    """There is no such prediction here, and why."""

    def __init__(self, wanted: RecordId, why: str) -> None:
        super().__init__("PredictionNotFound", f"prediction {wanted} isn't here: {why}")


class NodeLineage:
    """Looks up and explains; holds nothing between calls."""

    def __init__(
        self, site: str, node: str, logs: Path, blob: Callable[[str, int], bytes], limits: Limits | None = None
    ) -> None:
        """`logs` is the folder of all streams' logs; `blob` reads one of the store's by digest and checks it."""
        self._site = site
        self._node = node
        self._logs = logs
        self._blob = blob
        self._limits = limits or Limits()

    def explain(self, text: str) -> Explanation:
        """Explain the prediction with this id.

        Raises PredictionNotFoundError, UserMustActError `IdInvalid`, and OSError if the disk refuses.
        """
        found = self._find(RecordId.parse(text))
        kept = {each.input: rescan(self._logs, each, self._limits) for each in wanted(found)}
        return explain(found, kept, "node")

    def _find(self, record_id: RecordId) -> Found:
        if (record_id.site, record_id.node) != (self._site, self._node):
            raise PredictionNotFoundError(record_id, f"this is node {self._node} of site {self._site}")
        stored = self._record(record_id)
        if stored.flags & Flags.REDACTED:
            raise PredictionNotFoundError(record_id, "it was redacted")
        try:
            record = msgspec.json.decode(stored.body, type=Prediction)
        except msgspec.DecodeError as error:
            raise PredictionNotFoundError(record_id, f"its record can't be understood: {error}") from error
        manifest = self._manifest(record.digest)
        documents = {} if manifest is None else dict(self._documents(manifest))
        return Found(record_id, stored.time, record, manifest, documents)

    def _record(self, record_id: RecordId) -> Record:
        epochs = []
        for folder in log_folders(self._logs, PREDICTIONS):
            reader = LogReader(folder)
            identity = reader.identity
            if identity is None:
                continue
            if identity.epoch != record_id.epoch:
                epochs.append(identity.epoch)
                continue
            batches = reader.read(record_id.seq, 1)
            if batches and batches[0].first == record_id.seq:
                return next(batches[0].records())
            for hole in reader.holes(record_id.seq, record_id.seq):
                raise PredictionNotFoundError(record_id, _GONE[hole.reason])
            raise PredictionNotFoundError(
                record_id, "its log has no such number, or not yet: records are on disk within 50 ms"
            )
        known = f"there are {', '.join(epochs)}" if epochs else "there is none"
        raise PredictionNotFoundError(record_id, f"this node keeps no log {record_id.epoch} of predictions; {known}")

    def _manifest(self, digest: str) -> Manifest | None:
        with suppress(SkerryError, ValidationError, ValueError):
            return Manifest.model_validate_json(self._blob(digest, MAX_MANIFEST_BYTES))
        return None

    def _documents(self, manifest: Manifest) -> Iterator[tuple[str, FeatureSetDocument]]:
        for digest in manifest.feature_set_digests():
            with suppress(SkerryError, ValidationError):
                yield digest, FeatureSetDocument.model_validate_json(self._blob(digest, MAX_DOCUMENT_BYTES))
