"""What the hub says of releases and sites, read with kubectl as a user would."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cluster.lab import Cluster, LabError
from tests.cluster.lab.waiting import wait_for
from tests.e2e.story.platform import MODEL, NAMESPACE


class HubView:
    """Reads objects of the hub and waits for what they will say."""

    def __init__(self, hub: Cluster) -> None:
        self._hub = hub

    def apply(self, manifest: str) -> str:
        """`kubectl apply`; LabError with the API server's words if it is refused."""
        return self._hub.kubectl("apply", "--filename=-", input=manifest).stdout

    def release(self, version: str, model: str = MODEL) -> dict[str, Any]:
        """The ModelRelease of this version, `{}` if there is none."""
        name = release_name(version, model)
        got = self._hub.kubectl("get", "modelrelease", name, f"--namespace={NAMESPACE}", "--output=json", check=False)
        found: dict[str, Any] = json.loads(got.stdout) if got.returncode == 0 else {}
        return found

    def phase(self, version: str, model: str = MODEL) -> str:
        """The release's phase, empty while it has none."""
        phase: str = self.release(version, model).get("status", {}).get("phase", "")
        return phase

    def wait_phase(self, version: str, phase: str, seconds: float, model: str = MODEL) -> dict[str, Any]:
        """Wait for a phase and return the release; a different final phase ends the wait at once."""
        final = {"Approved", "RolledBack", "Refused", "Superseded"} - {phase}

        def wrong() -> str | None:
            status = self.release(version, model).get("status", {})
            if status.get("phase") in final:
                return f"it is {status['phase']}: {json.dumps(status.get('failedMetric') or status.get('reason'))}"
            return None

        self._wait(
            f"release {version} of {model} is {phase}", lambda: self.phase(version, model) == phase, seconds, wrong
        )
        return self.release(version, model)

    def wait_serving(self, site: str, version: str, seconds: float) -> None:
        """Wait until the hub knows that a site serves this version."""
        self._wait(f"{site} reports {version}", lambda: self.serving(site) == version, seconds)

    def serving(self, site: str) -> str:
        """The version that a site last reported for the story's model."""
        site_object = self.site(site)
        for served in site_object.get("status", {}).get("serving", []):
            if (served["namespace"], served["model"]) == (NAMESPACE, MODEL):
                version: str = served.get("version", "")
                return version
        return ""

    def site(self, site: str) -> dict[str, Any]:
        """The EdgeSite object, `{}` if there is none."""
        got = self._hub.kubectl("get", "edgesite", site, "--output=json", check=False)
        found: dict[str, Any] = json.loads(got.stdout) if got.returncode == 0 else {}
        return found

    def assignment(self, site: str) -> dict[str, Any]:
        """The site's SiteAssignment at the hub."""
        got = self._hub.kubectl("get", "siteassignment", "current", f"--namespace=skerry-site-{site}", "--output=json")
        found: dict[str, Any] = json.loads(got.stdout)
        return found

    def phase_at(self, site: str) -> str:
        """The phase that a site last reported for the story's model."""
        for report in self.assignment(site).get("status", {}).get("models", []):
            if report["model"] == MODEL:
                phase: str = report["phase"]
                return phase
        return ""

    def table(self) -> str:
        """`kubectl get modelreleases`, as printed."""
        return self._hub.kubectl("get", "modelreleases", f"--namespace={NAMESPACE}").stdout

    def plugin(self, *arguments: str) -> str:
        """`kubectl skerry …`, as a user runs it; LabError with its words if it fails."""
        environ = {**os.environ, "KUBECONFIG": str(self._hub.kubeconfig), "COLUMNS": "120"}
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        command = ["nice", str(self._hub.programs["kubectl"]), "skerry", *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise LabError(f"kubectl skerry {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def condition(self, version: str, kind: str) -> dict[str, Any]:
        """One condition of a release, `{}` if it has none of that type."""
        for condition in self.release(version).get("status", {}).get("conditions", []):
            if condition["type"] == kind:
                found: dict[str, Any] = condition
                return found
        return {}

    def _wait(
        self, what: str, condition: Callable[[], bool], seconds: float, gone: Callable[[], str | None] | None = None
    ) -> None:
        wait_for(what, condition, seconds=seconds, every=1, gone=gone)


def release_name(version: str, model: str = MODEL) -> str:
    """The name that `skerry push` gives a release's object."""
    return f"{model}-{version}"
