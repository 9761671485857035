"""The user's own clusters (k3s, k3d, kind) instead of the lab's: ``CONTEXTS=hub,site-a,…`` names kubectl contexts."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .cluster import Cluster
from .errors import LabError, RequirementMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .layout import Layout


@dataclass(frozen=True)
class OwnStore:
    """The user's own S3 server, by the variables that S3 clients read; hub and sites must reach ``endpoint``."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str


def store(environ: Mapping[str, str]) -> OwnStore | None:
    """Read AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; only the last has a default."""
    needed = [environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    return OwnStore(*needed, environ.get("AWS_REGION") or "us-east-1") if all(needed) else None


def names(text: str) -> tuple[str, ...]:
    """Split CONTEXTS at commas; blanks are dropped. The first one is the hub. Raises LabError on a repeated name."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(set(found)) != len(found):
        raise LabError(f"CONTEXTS={text} names a context twice")
    return found


def programs() -> dict[str, Path]:
    """kubectl and Helm from PATH, whatever their version: with CONTEXTS nothing is built."""
    found = {program: shutil.which(program) for program in ("kubectl", "helm")}
    if missing := [program for program, path in found.items() if not path]:
        raise RequirementMissingError(f"CONTEXTS needs {' and '.join(missing)} on PATH; `make test-fast` runs without.")
    return {program: Path(path) for program, path in found.items() if path}


def clusters(contexts: Sequence[str], layout: Layout, tools: Mapping[str, Path]) -> dict[str, Cluster]:
    """Give each context as a Cluster with a kubeconfig of its own (mode 0600, in the cache folder).

    Raises LabError with kubectl's words for a context that doesn't exist.
    """
    folder = layout.cache / "contexts"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {name: Cluster(name, _extract(name, folder, tools["kubectl"]), tools) for name in contexts}


def _extract(context: str, folder: Path, kubectl: Path) -> Path:
    argv = [str(kubectl), "config", "view", "--raw", "--minify", "--flatten", f"--context={context}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise LabError(f"CONTEXTS: {context}: {done.stderr.strip()}")
    path = folder / f"{context.replace('/', '_')}.kubeconfig"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(done.stdout)
    return path
