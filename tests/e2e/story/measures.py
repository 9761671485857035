"""Figures that the story prints when it is over."""

import json
from collections.abc import Iterable

from prometheus_client.parser import text_string_to_metric_families
from rich.table import Table

from tests.cluster.lab import Cluster
from tests.e2e.story.platform import RUNTIME, SYSTEM
from tests.e2e.story.story import Story

# Largest working set allowed of the containers that are only there to help, in MiB.
_LIMIT = 120
_LIMITED = ("site", "sync")
_TRAFFIC = "/var/lib/skerry/sync/traffic.json"
_LINK = f"/api/v1/namespaces/{SYSTEM}/services/skerry-site:metrics/proxy/metrics"


def show_measures(story: Story) -> None:
    """Print each container's largest working set, and the bytes that went over each site's link."""
    if story.lab.hands:
        _working_sets(story)
    _bytes_moved(story)


def limits(sites: Iterable[str]) -> set[str]:
    """What is claimed of the working sets at these sites."""
    return {_claim(site, container) for site in sites for container in _LIMITED}


def _claim(site: str, container: str) -> str:
    return f"{site}'s {container} stays within {_LIMIT} MiB"


def _working_sets(story: Story) -> None:
    table = Table(title="Largest working sets, MiB")
    for column in ("cluster", "pod", "container", "MiB"):
        table.add_column(column)
    for name, cluster in story.lab.clusters.items():
        for (pod, container), size in sorted(cluster.working_sets().items()):
            mebibytes = size / 2**20
            table.add_row(name, pod, container, f"{mebibytes:.0f}")
            if name in story.sites and container in _LIMITED:
                story.narrator.show(_claim(name, container), mebibytes <= _LIMIT, f"{mebibytes:.0f} MiB")
    story.narrator.console.print(table)


def _bytes_moved(story: Story) -> None:
    table = Table(title="Bytes moved, KiB: of sync all told, of the link since its process last started")
    for column in ("site", "by", "for", "sent", "received"):
        table.add_column(column)
    for site, cluster in story.sites.items():
        (pod,) = story.runtime_pods(site)
        for by, moved in (("sync", _moved_by_sync(cluster, pod)), ("link", _moved_by_link(cluster))):
            for purpose, (sent, received) in sorted(moved.items()):
                table.add_row(site, by, purpose, f"{sent / 1024:.1f}", f"{received / 1024:.1f}")
    story.narrator.console.print(table)


def _moved_by_sync(cluster: Cluster, pod: str) -> dict[str, tuple[int, int]]:
    """Bytes sent and received by purpose, as the node has them on its disk; `Local` never leaves the site."""
    read = f"print(open({_TRAFFIC!r}).read())"
    noted = cluster.kubectl("exec", pod, f"--namespace={RUNTIME}", "--container=sync", "--", "python", "-c", read)
    moved: dict[str, tuple[int, int]] = {}
    for hour in json.loads(noted.stdout)["hours"].values():
        for purpose, (sent, received) in hour.items():
            before = moved.get(purpose, (0, 0))
            moved[purpose] = (before[0] + sent, before[1] + received)
    return moved


def _moved_by_link(cluster: Cluster) -> dict[str, tuple[int, int]]:
    """The same of the site's operator and its hub, from its metrics."""
    moved: dict[str, tuple[int, int]] = {}
    for family in text_string_to_metric_families(cluster.kubectl("get", f"--raw={_LINK}").stdout):
        for sample in family.samples:
            if sample.name == "skerry_link_bytes_total":
                sent, received = moved.get(sample.labels["purpose"], (0, 0))
                value = int(sample.value)
                counted = (value, received) if sample.labels["direction"] == "sent" else (sent, value)
                moved[sample.labels["purpose"]] = counted
    return moved
