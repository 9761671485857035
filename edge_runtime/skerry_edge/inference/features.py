"""The feature store as the serving process puts it together, and how a node's own port tells of it."""

import time
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from skerry_api.v1alpha1.syncpolicy import CONSENT, DEAD_LETTER
from skerry_core.features.definition import MAX_DOCUMENT_BYTES
from skerry_core.micros import rfc3339
from skerry_core.sync_policy.defaults import BUILT_IN_STREAMS
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.segment import boot_hash
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features.clock import Clock
from skerry_edge.features.engine import compiled
from skerry_edge.features.features import Features
from skerry_edge.features.feeding import Feeding
from skerry_edge.features.letters import LetterBox
from skerry_edge.features.materializer import Sources
from skerry_edge.features.needs import Needs
from skerry_edge.features.note import Adopted
from skerry_edge.http.message import Response
from skerry_edge.inference.activator import Activator  # noqa: TC001 - an attribute, of use to readers
from skerry_edge.inference.authority import Authority
from skerry_edge.inference.binding import read
from skerry_edge.inference.config import Config
from skerry_edge.inference.store_folder import StoreFolder
from skerry_edge.ingest.withdrawals import Withdrawals


class Needed:
    """What the releases of this node need; told who to ask once they are there."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.activator: Activator | None = None

    def __call__(self) -> Needs:
        """Versions that the assignment names, and those of every release in memory."""
        document, activator = self._authority.document, self.activator
        digests = set(document.feature_sets) if document is not None else set()
        if activator is not None:
            digests |= {bound.feature_set.digest for each in activator.residents for bound in each.manifest.features}
        certain = document is not None and activator is not None and activator.started and activator.ready
        return Needs(frozenset(digests), certain)


def make_features(
    config: Config,
    boot: str,
    logs: EventLogs,
    store: StoreFolder,
    needs: Callable[[], Needs],
    policy: Callable[[], SyncPolicyDocument],
    clock: Clock,
) -> Features:
    """The store of features below the process's state; nothing is opened before its thread starts.

    `policy` gives the SyncPolicy in force, to any thread.
    """
    state, letters = config.state, BUILT_IN_STREAMS[DEAD_LETTER]

    def box() -> LetterBox:
        log = logs.open(StreamSettings(DEAD_LETTER, letters.tier.rank, letters.max_age, letters.max_bytes))
        return LetterBox(logs.directory(DEAD_LETTER), log, lambda: time.time_ns() // 1000)

    sources = Sources(
        logs=logs.directory(DEAD_LETTER).parent,
        boot=boot_hash(boot),
        needs=needs,
        document=lambda digest: store.blob(digest, MAX_DOCUMENT_BYTES),
        compiled=compiled,
        withdrawals=Withdrawals(state / "consent.json", logs.directory(CONSENT), store.inbox).since,
        node=config.node,
        neighbours=store.neighbours,
    )
    return Features(state / "features", sources, box, clock, feeding=Feeding(policy))


def entity_features(features: Features, namespace: str, name: str, entity: tuple[str, ...]) -> Response:
    """Every version's features of an entity, as JSON; 404 if no version of the set is computed here.

    They are what a model would get: it blocks as `read` does.
    """
    found = []
    for course in features.courses():
        document = course.version.engine.document
        if (document.namespace, document.name) != (namespace, name):
            continue
        try:
            known = read(features, course.version.digest, entity, tuple(each.name for each in document.features))
        except ValueError as error:
            return Response(HTTPStatus.BAD_REQUEST, f"{error}\n".encode(), "text/plain; charset=utf-8")
        if known is None:
            continue
        reading, _ = known
        found.append(
            {
                "version": document.version,
                "digest": course.version.digest,
                "warm": course.warm,
                "adopted": _adopted(course.version.adopted),
                "applied": {"epoch": reading.applied.epoch, "seq": reading.applied.seq},
                "features": [
                    {
                        "name": value.name,
                        "status": value.status,
                        "value": value.value,
                        "ageSeconds": None if value.age_us is None else value.age_us / 1e6,
                    }
                    for value in reading.whole.values
                ],
            }
        )
    if not found:
        return Response(HTTPStatus.NOT_FOUND, b"no such feature set is computed here\n", "text/plain; charset=utf-8")
    return Response(HTTPStatus.OK, msgspec.json.encode({"set": f"{namespace}/{name}", "versions": found}))


def _adopted(adopted: Adopted | None) -> dict[str, object] | None:
    if adopted is None:
        return None
    return {"node": adopted.node, "snapshot": adopted.snapshot, "until": rfc3339(adopted.made)}
