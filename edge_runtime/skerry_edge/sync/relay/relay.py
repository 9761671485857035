"""Follows this node's consent log and the site's RuntimeNodes, and keeps what each is to know of the other."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Gauge
from pydantic import ValidationError

from skerry_api.v1alpha1.runtimenode import ConsentRelay, RuntimeNodeStatus
from skerry_api.v1alpha1.syncpolicy import CONSENT
from skerry_core.micros import micros_of
from skerry_edge.events.follow import Place, Tail
from skerry_edge.ingest.inbox import MAX_WAITING, read_inbox, write_inbox
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.local_api import Object
from skerry_edge.sync.outbound.consent_keeper import ConsentKeeper
from skerry_edge.sync.relay.exchange import behind, news, pages, said_taken, taken_by_all
from skerry_edge.sync.relay.index import read_index, write_index

PERIOD = timedelta(seconds=1)
_READ = 1000
_TURN_SECONDS = 60
# How far the log was read is written this often: read again, it says the same.
_WRITE_EVERY = timedelta(seconds=30)

_log = structlog.get_logger()


class Relay:
    """A loop's step, and what a watch tells. `said` is for this node's RuntimeNode."""

    def __init__(
        self,
        site: str,
        node: str,
        layout: Layout,
        keeper: ConsentKeeper,
        secret: bytes,
        keep: Callable[[], timedelta],
        registry: CollectorRegistry,
    ) -> None:
        """`secret` is what the site's nodes hash entities with; `keep` says how old a record here can be.

        Raises OSError.
        """
        self._site = site
        self._node = node
        self._index_file = layout.withdrawals
        self._inbox = layout.inbox
        self._tail = Tail(layout.log / CONSENT)
        self._keeper = keeper
        self._secret = secret
        self._keep = keep
        self._key = hashlib.blake2b(secret, digest_size=8, person=b"skerry-relay-id").hexdigest()
        self._index = self._durable = read_index(self._index_file)
        self._written_at = datetime.fromtimestamp(0, UTC)
        self._peers: dict[str, ConsentRelay | None] = {}
        # Whether it is known which nodes there are.
        self._heard = False
        found = read_inbox(self._inbox)
        self._waiting = () if found is None else found.waiting
        # Inference needs the secret, also of what it was told before.
        self._written = found is not None and found.secret == secret
        keeper.expect(self._waiting)
        self.said = ConsentRelay(key=self._key, incarnation=self._index.incarnation)
        self._behind = Gauge(
            "skerry_sync_consent_nodes_behind",
            "Other nodes of the site that have yet to take a withdrawal of consent from this one.",
            registry=registry,
        )
        self._expected = Gauge(
            "skerry_sync_consent_withdrawals_waiting",
            "Withdrawals that other nodes told of and the consent log here doesn't hold yet.",
            registry=registry,
        )

    def held(self) -> dict[str, Place]:
        """By stream, up to where its log is no longer needed here."""
        return {CONSENT: self._durable.place}

    def listed(self, nodes: Iterable[Object]) -> None:
        """All RuntimeNodes as they are now."""
        self._peers = dict(filter(None, map(self._peer, nodes)))
        self._heard = True

    def seen(self, node: Object) -> None:
        """A RuntimeNode that is new or changed."""
        found = self._peer(node)
        if found is not None:
            self._peers = {**self._peers, found[0]: found[1]}

    def step(self) -> timedelta:
        """Take what is new, and say what the others lack; the pause until the next step. Raises OSError, RetryError."""
        now = datetime.now(UTC)
        self._follow(now)
        peers, taken = self._peers, self._keeper.taken(now)
        waiting = tuple(news(peers, taken, self._waiting, self._key)[:MAX_WAITING])
        if waiting != self._waiting or not self._written:
            # At once: nothing leaves against it from now on, even if it can't be written now.
            self._keeper.expect(waiting)
            write_inbox(self._inbox, self._secret, waiting)
            self._waiting, self._written = waiting, True
        self.said = ConsentRelay(
            key=self._key,
            incarnation=self._index.incarnation,
            pages=pages(self._index, self._node, peers, int(now.timestamp()) // _TURN_SECONDS),
            taken=said_taken(taken, peers),
        )
        self._behind.set(behind(self._index, self._node, peers))
        self._expected.set(len(waiting))
        return PERIOD

    def _follow(self, now: datetime) -> None:
        """Bring the index up to date; what is to be told is durable first."""
        index = self._index
        while (stretch := self._tail.read(index.place, _READ)) is not None:
            index = index.extended(stretch, self._secret)
        oldest = micros_of(now) - self._keep() // timedelta(microseconds=1)
        if self._heard:
            index = index.without_old(oldest, taken_by_all(index, self._node, self._peers))
        told = (self._index.first, self._index.entries)
        if (index.first, index.entries) != told or now - self._written_at >= _WRITE_EVERY:
            if index != self._durable:
                write_index(self._index_file, index)
            self._durable, self._written_at = index, now
        self._index = index

    def _peer(self, node: Object) -> tuple[str, ConsentRelay | None] | None:
        try:
            name = str(node["metadata"]["name"])
            status = RuntimeNodeStatus.model_validate(node.get("status") or {})
        except (KeyError, TypeError, ValidationError) as error:
            _log.warning("a RuntimeNode can't be read", reason="NodeMalformed", message=str(error)[:300])
            return None
        return None if name == self._node or status.site not in {None, self._site} else (name, status.consent)
