"""The hub's side: its tables, asked by the code of `skerry query`; the batches that came; the ingest pod."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from skerry_core.batch.codec import decode
from skerry_core.batch.key import parse_key
from skerry_core.errors import UserMustActError
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.query import opened
from tests.cluster.lab import LabCluster
from tests.cluster.lab.waiting import wait_for
from tests.e2e.faults.world import SITE, World
from tests.e2e.story.platform import BUCKET, SYSTEM

INGEST = "skerry-ingest"
POLICY = "sites"
_PREFIX = f"sites/{SITE}/"

Row = dict[str, Any]


@dataclass
class EventsHub:
    """What the platform team sees of the events of a site."""

    world: World

    @cached_property
    def lake(self) -> Lake:
        """The tables."""
        return Lake(f"s3://{BUCKET}", self.world.story.platform.store_access())

    @property
    def cluster(self) -> LabCluster:
        hub = self.world.hub
        assert isinstance(hub, LabCluster)
        return hub

    def ask(self, sql: str) -> list[Row]:
        """Rows of a query; none while a table or column that it names isn't there yet."""
        try:
            with opened(self.lake) as query:
                rows: list[Row] = query.run(sql).read_all().to_pylist()
                return rows
        except UserMustActError as error:
            if "does not exist" in str(error) or "not found in FROM clause" in str(error):
                return []
            raise

    def one(self, sql: str) -> Any:
        """The only value of a query, None if it has no row."""
        rows = self.ask(sql)
        if not rows:
            return None
        (row,) = rows
        (value,) = row.values()
        return value

    def wait(self, what: str, sql: str, seconds: float) -> list[Row]:
        """Wait until a query has rows, and give them."""
        rows: list[Row] = []

        def found() -> bool:
            rows[:] = self.ask(sql)
            return bool(rows)

        wait_for(f"{what} at the hub", found, seconds=seconds, every=0.5)
        return rows

    def everything(self) -> Iterator[bytes]:
        """Every body of every stream in the store."""
        store = self.world.story.platform.store()
        for info in store.list(f"{_PREFIX}events/"):
            if parse_key(SITE, info.key.removeprefix(_PREFIX)) is not None:
                for row in decode(b"".join(store.get(info.key))).rows:
                    yield row.body

    def keys(self, stream: str) -> list[str]:
        """The keys of a stream's batches in the store, in their order."""
        store = self.world.story.platform.store()
        listed = [info.key for info in store.list(f"{_PREFIX}events/")]
        names = {key: parse_key(SITE, key.removeprefix(_PREFIX)) for key in listed}
        return sorted(key for key, name in names.items() if name is not None and name.log.stream == stream)

    def span(self, key: str) -> tuple[int, int]:
        """First and last number of a batch, by its key."""
        name = parse_key(SITE, key.removeprefix(_PREFIX))
        assert name is not None
        return name.after + 1, name.last

    # -- the policy and the pod --------------------------------------------------------------------------------------

    def policy_status(self) -> Row:
        """Status of the SyncPolicy."""
        got = self.world.hub.kubectl("get", "syncpolicy", POLICY, f"--namespace={SYSTEM}", "--output=json", check=False)
        found: Row = json.loads(got.stdout).get("status", {}) if got.returncode == 0 else {}
        return found

    def scale_ingest(self, replicas: int) -> None:
        """Stop or start the ingest; returns when that is done."""
        hub, deployment = self.world.hub, f"deployment/{INGEST}"
        hub.kubectl("scale", deployment, f"--namespace={SYSTEM}", f"--replicas={replicas}")
        hub.kubectl("rollout", "status", deployment, f"--namespace={SYSTEM}", "--timeout=90s")
        if not replicas:
            selector = f"--selector=app.kubernetes.io/name={INGEST}"
            hub.kubectl("wait", "pods", selector, f"--namespace={SYSTEM}", "--for=delete", "--timeout=60s")
