"""Nodes of a site: real logs, both sides' code, and an API server in memory that holds their RuntimeNodes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.runtimenode import RuntimeNodeStatus
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.ingest.relay import ConsentRelay
from skerry_edge.ingest.streams import Streams
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.outbound.consent_keeper import ConsentKeeper
from skerry_edge.sync.relay import relay
from skerry_edge.sync.relay.relay import Relay
from tests.unit.ingest.worlds import NOW, event, policy

if TYPE_CHECKING:
    from pathlib import Path

SECRET = b"of the site"
CLASS = "health"
LATEST = (1 << 64) - 2


class Node:
    """One node; `up` tells whether it runs, `linked` whether it reaches the API server."""

    def __init__(self, site: Site, name: str, secret: bytes = SECRET):
        self.site, self.name, self.secret = site, name, secret
        self.layout = Layout(site.root / name)
        for folder in (self.layout.log, self.layout.own_log, self.layout.inbox.parent):
            folder.mkdir(parents=True)
        self.up = self.linked = True
        self.open()
        self.restart()

    def open(self) -> None:
        """What inference does with the stream."""
        self.logs = EventLogs(self.layout.log, Owner("site-a", self.name, "boot-1"))
        self.streams = Streams(self.logs, NodeTime(lambda: NOW), lambda: 0.0)
        self.streams.apply(policy())
        self.inference = ConsentRelay(self.layout.inbox, lambda: self.streams.find("consent"), lambda: None)

    def restart(self) -> None:
        """Sync anew, from the disk."""
        registry = CollectorRegistry()
        note = self.layout.grant.parent / "consent.json"
        self.keeper = ConsentKeeper(note, self.layout.log / "consent", self.secret, registry)
        self.relay = Relay(
            "site-a", self.name, self.layout, self.keeper, self.secret, lambda: timedelta(days=30), registry
        )
        self.registry = registry

    def say(self, kind: str, entity: str, *classes: str) -> None:
        self.site.said += 1
        data = {"dataClasses": list(classes or [CLASS])}
        said = event(self.site.said, type=f"dev.skerry.consent.{kind}", subject=entity, data=data)
        self.streams.find("consent").accept([said])

    def step(self) -> None:
        if not self.up:
            return
        if self.linked:
            self.relay.listed(self.site.nodes.values())
        self.inference.look()
        self.relay.step()
        if self.linked:
            status = RuntimeNodeStatus(site="site-a", consent=self.relay.said)
            self.site.nodes[self.name] = {"metadata": {"name": self.name}, "status": status.to_wire()}

    def consenting(self, *names: str) -> set[str]:
        consents = self.keeper.current(relay.datetime.now(relay.UTC))
        return {name for name in names if consents.cover(name, CLASS, LATEST)}

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"skerry_sync_consent_{name}")


class Site:
    """`said` counts events, `nodes` are the API server's objects."""

    def __init__(self, root: Path, *names: str):
        self.root, self.said, self.nodes = root, 0, {}
        self.all = {name: Node(self, name) for name in names}

    def __getitem__(self, name: str) -> Node:
        return self.all[name]

    def settle(self) -> None:
        """Let everybody tell and take until nothing changes."""
        for _ in range(1000):
            before = dict(self.nodes)
            for node in self.all.values():
                node.step()
            if before == self.nodes and not any(
                node.relay._waiting for node in self.all.values() if node.up and node.linked
            ):
                return
        raise AssertionError("there is no end of it")

    def close(self) -> None:
        for node in self.all.values():
            node.logs.close()
