"""Pods, RuntimeNodes and scrapes as one view per node. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from skerry_api.v1alpha1.runtimenode import RuntimeNodeStatus
from skerry_operator.site.scrape import Scrape
from skerry_operator.site.views import NodeView


@dataclass(frozen=True)
class RuntimePod:
    """The runtime's pod on one node; `address` is empty before it has one."""

    node: str
    address: str
    ready: bool


def runtime_pods(objects: Iterable[Mapping[str, Any]]) -> tuple[RuntimePod, ...]:
    """Read the pods that are to stay; one that ends leaves its node without a pod until the next one comes."""
    return tuple(
        RuntimePod(
            node=pod["spec"]["nodeName"],
            address=pod.get("status", {}).get("podIP", ""),
            ready=any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod.get("status", {}).get("conditions") or ()
            ),
        )
        for pod in objects
        if pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp")
    )


def written_statuses(objects: Iterable[Mapping[str, Any]]) -> dict[str, RuntimeNodeStatus]:
    """Read what nodes wrote last, by node; what can't be read is left out."""
    statuses = {}
    for item in objects:
        try:
            statuses[item["metadata"]["name"]] = RuntimeNodeStatus.model_validate(item.get("status") or {})
        except ValidationError:
            continue
    return statuses


def node_views(
    pods: Iterable[RuntimePod], written: Mapping[str, RuntimeNodeStatus], scraped: Mapping[str, Scrape]
) -> tuple[NodeView, ...]:
    """One view for each node with a pod: from its own mouth if it answered, else from what it wrote last."""
    return tuple(_view(pod, written.get(pod.node, RuntimeNodeStatus()), scraped.get(pod.address)) for pod in pods)


def _view(pod: RuntimePod, written: RuntimeNodeStatus, scrape: Scrape | None) -> NodeView:
    return NodeView(
        node=pod.node,
        ready=pod.ready,
        reports=written.models if scrape is None else scrape.reports,
        evidence=() if scrape is None else scrape.evidence,
        queue_depth=written.queue_depth,
    )
