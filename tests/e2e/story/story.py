"""What every chapter has at hand."""

import json
import shutil
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.cluster.lab import Cluster, Lab
from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.author import Author
from tests.e2e.story.dataset import Splits, load
from tests.e2e.story.hub_view import HubView
from tests.e2e.story.narration import Narrator
from tests.e2e.story.platform import MODEL, RUNTIME, Platform
from tests.e2e.story.reach import Reach
from tests.e2e.story.traffic import SiteTraffic


@dataclass
class Story:
    """The characters: the lab, the platform team, the model team, each site's client, and who tells it."""

    lab: Lab
    platform: Platform
    author: Author
    narrator: Narrator
    work: Path

    def __post_init__(self) -> None:
        self.hub = HubView(self.platform.hub)
        self.data: Splits = load()
        folder = self.work / "traffic"
        shutil.rmtree(folder, ignore_errors=True)  # an earlier run's ledgers tell of another hub
        folder.mkdir(parents=True)
        self.traffic = {site: SiteTraffic(site, folder) for site in self.platform.sites}
        self.reach = {site: Reach(cluster) for site, cluster in self.platform.sites.items()}

    @property
    def sites(self) -> dict[str, Cluster]:
        """The site clusters by name."""
        return self.platform.sites

    def push(self, version: str) -> str:
        """Push a version's signed bundle; returns the YAML of its ModelRelease."""
        return self.author.push(self.author.bundle(version), self.platform.store_environment())

    def release(self, version: str) -> str:
        """Push a version and apply its ModelRelease; returns the YAML that was applied."""
        manifest = self.push(version)
        self.hub.apply(manifest)
        return manifest

    def infer_url(self, site: str) -> str:
        """Where clients inside a site reach its runtime."""
        return self.reach[site].url()

    def start_traffic(self) -> None:
        """Start each site's client on windows of people that every model knows."""
        for name, traffic in self.traffic.items():
            traffic.start(self.reach[name])

    def stop_traffic(self) -> None:
        """Stop every client."""
        for traffic in self.traffic.values():
            traffic.stop()
        for reach in self.reach.values():
            reach.close()

    def wait_answers(self, site: str, version: str, seconds: float) -> None:
        """Wait until a site's clients get this version's answers, and no other's, for a second."""
        wait_for(f"{site} answers with {version}", lambda: self.traffic[site].serves_only(version), seconds=seconds)

    def ask(self, site: str, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Ask a site's runtime for the scores of windows [n, 100, 6], from inside its network."""
        question, answer = self.work / f"ask-{site}.npy", self.work / f"answer-{site}.npy"
        np.save(question, windows)
        command = [sys.executable, "-m", "tests.e2e.story.ask", self.infer_url(site), str(question), str(answer)]
        done = self.reach[site].run(command, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"{site} did not answer: {done.stderr}")
        scores: NDArray[np.float32] = np.load(answer)
        return scores

    def runtime_pods(self, site: str) -> dict[str, tuple[str, int]]:
        """UID and restarts of all containers of each runtime pod, by pod name."""
        got = self.sites[site].kubectl("get", "pods", f"--namespace={RUNTIME}", "--output=json")
        return {
            pod["metadata"]["name"]: (
                pod["metadata"]["uid"],
                sum(container["restartCount"] for container in pod["status"].get("containerStatuses", [])),
            )
            for pod in json.loads(got.stdout)["items"]
        }

    def node_status(self, site: str) -> dict[str, Any]:
        """Status of the site's only RuntimeNode, read inside the site."""
        got = self.sites[site].kubectl("get", "runtimenodes", "--output=json")
        (node,) = json.loads(got.stdout)["items"]
        status: dict[str, Any] = node.get("status", {})
        return status

    def node_phase(self, site: str) -> str:
        """Phase of the story's model at the site's node."""
        phase: str = _of_model(self.node_status(site)).get("phase", "")
        return phase

    def site_metric(self, site: str) -> dict[str, Any]:
        """The metric that the site rolled the story's model back for, read inside the site; empty until it has.

        The node's word or the site's, which looks at the same evidence: whoever comes first.
        """
        got = self.sites[site].kubectl("get", "siteassignments", "--all-namespaces", "--output=json")
        (mirror,) = json.loads(got.stdout)["items"]
        metric: dict[str, Any] = _of_model(mirror.get("status", {})).get("failedMetric", {})
        return metric

    def has_blob(self, site: str, digest: str) -> bool:
        """Whether a blob, whole or in part, is on the site's node volume."""
        (pod,) = self.runtime_pods(site)
        listing = self.sites[site].kubectl(
            "exec", pod, f"--namespace={RUNTIME}", "--container=sync", "--", "python", "-c",
            "import os; print(*(name for _, _, files in os.walk('/var/lib/skerry/store/blobs') for name in files))",
        )  # fmt: skip
        return digest.removeprefix("sha256:") in listing.stdout

    def no_failures(self, chapter: str, sites: Iterable[str] | None = None) -> None:
        """Show that no client saw a failure so far, but for the announced ones."""
        for site in sites or self.traffic:
            traffic = self.traffic[site]
            failed = traffic.failures()
            detail = f"{len(traffic.entries())} requests"
            if failed:
                detail += f", {len(failed)} failed; the first at {_clock(failed[0].at)}: {failed[0].failure}"
            self.narrator.show(f"{site}'s client saw no failure {chapter}", not failed, detail)


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _of_model(status: dict[str, Any]) -> dict[str, Any]:
    """The report of the story's model; empty if there is none."""
    return next((report for report in status.get("models", []) if report["model"] == MODEL), {})
