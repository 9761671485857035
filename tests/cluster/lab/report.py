"""What ``lab status`` tells: facts as plain data, and the same as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from .errors import NotAvailableError
from .labcluster import LabCluster

if TYPE_CHECKING:
    from .cluster import Cluster
    from .lab import Lab


def report(lab: Lab) -> dict[str, Any]:
    """Facts of the lab as JSON-able data."""
    return {
        "instance": lab.layout.instance,
        "state": str(lab.layout.state),
        "clusters": {name: _cluster(cluster) for name, cluster in lab.clusters.items()},
        "store": _store(lab),
    }


def _cluster(cluster: Cluster) -> dict[str, Any]:
    facts: dict[str, Any] = {"kubeconfig": str(cluster.kubeconfig), "api": cluster.api_url}
    if isinstance(cluster, LabCluster):
        running = cluster.running()
        facts |= {
            "link": "cut" if cluster.is_cut else "joined",
            "processes": len(cluster.pids()),
            "missing": [name for name, runs in running.items() if not runs],
            "ready": all(running.values()) and cluster.is_up(),
        }
    else:
        facts["ready"] = cluster.kubectl("get", "--raw=/readyz", check=False).returncode == 0
    return facts


def _store(lab: Lab) -> dict[str, Any] | None:
    try:
        store = lab.store
    except NotAvailableError:
        return None
    return {"endpoint": store.endpoint, "folder": str(store.root), "ready": store.is_running}


def table(facts: dict[str, Any]) -> Table:
    """Lay ``report``'s facts out for a person."""
    found = Table(title=f"Skerry's lab (state in {facts['state']})", title_justify="left")
    for heading in ("cluster", "ready", "link", "pids", "endpoint"):
        found.add_column(heading, no_wrap=True)
    found.add_column("not running", overflow="fold")
    for name, one in facts["clusters"].items():
        found.add_row(
            name,
            "yes" if one["ready"] else "[red]no[/red]",
            one.get("link", "yours"),
            str(one.get("processes", "")),
            one["api"],
            ", ".join(one.get("missing", ())),
        )
    if facts["store"]:
        ready = "yes" if facts["store"]["ready"] else "[red]no[/red]"
        found.add_row("store", ready, "", "", facts["store"]["endpoint"], "")
    if not facts["clusters"]:
        found.caption = "nothing is up: `python -m tests.cluster.lab up`"
    return found
