"""Fetches what other nodes know for features that are new here. The only module that talks to other nodes."""

import hashlib
import shutil
import time
from collections import Counter as Count
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import structlog
import urllib3
from prometheus_client import Counter
from urllib3.exceptions import HTTPError

from skerry_core import digest as digests
from skerry_core.durable import remove_file, write_chunks
from skerry_core.store.metered import MeteredPool
from skerry_edge.features.sought import read_sought
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.local_api import LocalApi
from skerry_edge.sync.neighbours.choice import Source, candidates, sources
from skerry_edge.sync.neighbours.offers import MAX_SECONDS, file_name
from skerry_edge.sync.neighbours.sealed import sealed_size, unseal
from skerry_edge.sync.traffic import LOCAL, NEIGHBOURS, Traffic

PERIOD = timedelta(seconds=5)
# What inference hasn't taken over by then it has refused: another node's may do.
TAKEN = timedelta(minutes=2)
_ATTEMPTS = 3
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 10.0
# A volume gets none that would leave less than this part of it free: events need the room.
_SHORT = 0.15
_PIECE = 1 << 16

_log = structlog.get_logger()


class Neighbours:
    """One step looks what is sought, and fetches it."""

    def __init__(
        self,
        layout: Layout,
        api: LocalApi,
        traffic: Traffic,
        outcomes: Counter,
        *,
        site: str,
        node: str,
        key: bytes,
    ) -> None:
        """`key` is the site's for snapshots; `outcomes` counts transfers."""
        self._layout = layout
        self._api = api
        self._traffic = traffic
        self._outcomes = outcomes
        self._site = site
        self._node = node
        self._key = key
        self._attempts: Count[str] = Count()
        self._pool = MeteredPool(
            traffic, retries=False, timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
        )

    def step(self) -> timedelta:
        """Remove what nobody seeks any more, fetch what somebody does. Raises SkerryError, OSError."""
        sought = read_sought(self._layout.features)
        here = self._swept(sought)
        wanted = {version: begun for version, begun in sought.items() if version not in here}
        if wanted:
            with self._traffic.exchange(LOCAL):
                offers = sources(self._api.nodes(), self._site, self._node)
            for version, begun in wanted.items():
                self._fetch(candidates(version, begun, offers, datetime.now(UTC)))
        return PERIOD

    def _swept(self, sought: Mapping[str, int]) -> frozenset[str]:
        """Versions of which a file is there, waiting for inference."""
        folder, here = self._layout.neighbours, set()
        for path in folder.glob("[0-9a-f]*.*") if folder.is_dir() else ():
            version = f"sha256:{path.name.partition('.')[0]}"
            age = timedelta(seconds=time.time() - path.stat().st_mtime)
            if version in sought and timedelta() <= age < TAKEN:
                here.add(version)
            else:
                remove_file(path)
                self._attempts[path.name] = _ATTEMPTS
        return frozenset(here)

    def _fetch(self, found: Iterable[Source]) -> None:
        for source in found:
            name = file_name(source.snapshot)
            if self._attempts[name] >= _ATTEMPTS:
                continue
            self._attempts[name] += 1
            try:
                self._get(source, name)
            except (HTTPError, OSError, ValueError) as error:
                self._outcomes.labels("Failed").inc()
                _log.warning(
                    "snapshot of features not fetched", node=source.node, snapshot=name, error=str(error)[:200]
                )
                continue
            self._outcomes.labels("Fetched").inc()
            _log.info("snapshot of features fetched", node=source.node, snapshot=name, size=source.snapshot.size)
            return

    def _get(self, source: Source, name: str) -> None:
        """Raises HTTPError, OSError, ValueError."""
        folder, size = self._layout.neighbours, source.snapshot.size
        folder.mkdir(parents=True, exist_ok=True)
        volume = shutil.disk_usage(folder)
        if volume.free - size < _SHORT * volume.total:
            raise ValueError("the volume has no room for it")
        with self._traffic.exchange(NEIGHBOURS):
            response = self._pool.request(
                "GET", f"http://{source.address}/snapshots/{name}", redirect=False, preload_content=False
            )
            try:
                if response.status != 200 or response.headers.get("Content-Length") != str(sealed_size(size)):  # noqa: PLR2004
                    raise ValueError(f"the node answers {response.status}, or with another size")
                content = unseal(self._key, name, _received(response))
                write_chunks(folder / name, _verified(content, source.snapshot.digest, size))
            finally:
                response.close()


def _received(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    until = time.monotonic() + MAX_SECONDS
    while piece := response.read1(_PIECE, decode_content=False):
        if time.monotonic() > until:
            raise ValueError("it takes too long")
        yield piece


def _verified(chunks: Iterable[bytes], digest: str, size: int) -> Iterator[bytes]:
    """The chunks; ValueError in the end, or before there are too many, if they aren't those of the digest."""
    content, left = hashlib.sha256(), size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        content.update(chunk)
        yield chunk
    if left or content.hexdigest() != digests.hex_of(digest):
        raise ValueError("the bytes aren't those of the digest")
