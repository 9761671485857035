"""The lab's programs: found on PATH where they fit, else built once from the go.mod files in ``tools``.

Built programs go to ``<cache>/bin/<toolset>-<key>/``, where the key names everything that goes into them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LabError, RequirementMissingError
from .locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_TOOLS = Path(__file__).parent / "tools"
# Seconds on two idle cores with nothing cached, until this machine has its own figures.
_TYPICAL_SECONDS = {"pause": 5.0, "kine": 130.0, "versitygw": 60.0, "helm": 105.0, "kubernetes": 530.0}
TOOLSETS = tuple(_TYPICAL_SECONDS)
# Built from a main.go of ours: what has the same name on PATH is another program.
_OUR_OWN = {"pause", "versitygw"}
_REPORT_EVERY_SECONDS = 10.0
_KUBECTL_SKEW = 1


@dataclass(frozen=True)
class Toolset:
    """One go.mod and what is built from it. ``packages`` maps program names to Go packages."""

    name: str
    folder: Path
    packages: dict[str, str]
    version: str
    ldflags: str

    @property
    def source_hash(self) -> str:
        """Hash over all that goes in but the Go version: module files, own sources, flags."""
        digest = hashlib.sha256(self.ldflags.encode())
        for path in sorted(self.folder.iterdir()):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:12]


def load(name: str) -> Toolset:
    """Read a toolset from its go.mod: ``tool`` lines are the programs, the first one's module gives the version."""
    folder = _TOOLS / name
    text = (folder / "go.mod").read_text()
    block = re.search(r"^tool \((.*?)^\)", text, re.MULTILINE | re.DOTALL)
    listed = block[1].split() if block else re.findall(r"^tool (\S+)", text, re.MULTILINE)
    packages = {package.rpartition("/")[2]: package for package in listed} or {name: "."}
    modules: dict[str, str] = dict(re.findall(r"^\s*(?:require )?(\S+) (v\S+)", text, re.MULTILINE))
    first = next(iter(packages.values()))
    # An own program has the version of the module that it is mainly made of: the first one required.
    version = next((modules[path] for path in _parents(first) if path in modules), next(iter(modules.values()), "v0"))
    return Toolset(name, folder, packages, version, _ldflags(name, version))


def _parents(package: str) -> Iterable[str]:
    parts = package.split("/")
    return ("/".join(parts[:length]) for length in range(len(parts), 0, -1))


def _ldflags(name: str, version: str) -> str:
    """Linker flags; Kubernetes and Helm learn their versions only from here, and behave by them."""
    values: dict[str, str] = {}
    if name == "kubernetes":
        major, minor, _ = version.removeprefix("v").split(".")
        base = "k8s.io/component-base/version"
        values = {f"{base}.gitVersion": version, f"{base}.gitMajor": major, f"{base}.gitMinor": minor}
    if name == "helm":
        kubernetes = load("kubernetes").version.removeprefix("v").split(".")
        values["helm.sh/helm/v3/internal/version.version"] = version
        for package in ("chartutil", "lint/rules"):
            values[f"helm.sh/helm/v3/pkg/{package}.k8sVersionMajor"] = kubernetes[0]
            values[f"helm.sh/helm/v3/pkg/{package}.k8sVersionMinor"] = kubernetes[1]
    return " ".join(["-s -w", *(f"-X {key}={value}" for key, value in values.items())])


def on_path(program: str, environ_path: str | None = None) -> Path | None:
    """Give the program on PATH if it fits: kubectl within one minor version of the lab's API server, Helm 3."""
    found = shutil.which(program, path=environ_path)
    if not found or program in _OUR_OWN:
        return None
    if program == "kubectl":
        return Path(found) if _kubectl_fits(found, load("kubernetes").version) else None
    if program == "helm":
        done = subprocess.run([found, "version", "--short"], capture_output=True, text=True, timeout=30, check=False)
        return Path(found) if done.stdout.startswith("v3.") else None
    return Path(found)


def _kubectl_fits(path: str, wanted: str) -> bool:
    done = subprocess.run(
        [path, "version", "--client", "--output=json"], capture_output=True, text=True, timeout=30, check=False
    )
    try:
        have = json.loads(done.stdout)["clientVersion"]["gitVersion"]
    except (ValueError, KeyError):
        return False
    return minor_distance(have, wanted) <= _KUBECTL_SKEW


def minor_distance(one: str, other: str) -> int:
    """How many minor versions lie between two Kubernetes versions; a different major version is far away."""
    major, minor, *_ = re.findall(r"\d+", one)
    other_major, other_minor, *_ = re.findall(r"\d+", other)
    return abs(int(minor) - int(other_minor)) if major == other_major else 1000


class Toolchain:
    """Finds or builds programs, with the cache folder as its memory."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._durations = cache / "durations.json"

    def ensure(self, names: Iterable[str], progress: Callable[[str], None]) -> dict[str, Path]:
        """Give the path of every program of the named toolsets, building what is missing, one toolset at a time.

        Raises RequirementMissingError without a Go that fits, LabError with the compiler's words if a build fails.
        """
        wanted = [load(name) for name in names]
        found = self._found(wanted)
        missing = [
            (toolset, lacking)
            for toolset in wanted
            if (lacking := [program for program in toolset.packages if program not in found])
        ]
        if missing:
            with exclusive(self._cache / "build.lock", progress, "another run is building the lab's programs"):
                for number, (toolset, lacking) in enumerate(missing):
                    found |= self._build(toolset, lacking, [other for other, _ in missing[number:]], progress)
        return found

    def found(self, names: Iterable[str]) -> dict[str, Path]:
        """Give the path of those programs that are there already; builds nothing."""
        return self._found([load(name) for name in names])

    def _found(self, toolsets: Iterable[Toolset]) -> dict[str, Path]:
        paths: dict[str, Path] = {}
        for toolset in toolsets:
            built = self._built(toolset)
            for program in toolset.packages:
                if path := built.get(program) or on_path(program):
                    paths[program] = path
        return paths

    def _built(self, toolset: Toolset) -> dict[str, Path]:
        """Programs in the cache; without Go on this machine, those that any Go version built."""
        version = go_version()
        folders = sorted((self._cache / "bin").glob(f"{toolset.name}-{toolset.source_hash}-{version or '*'}"))
        return {path.name: path for folder in folders for path in folder.iterdir() if path.name in toolset.packages}

    def _build(
        self, toolset: Toolset, programs: list[str], todo: list[Toolset], progress: Callable[[str], None]
    ) -> dict[str, Path]:
        built = self._built(toolset)  # by another run, while this one waited for the lock
        if all(program in built for program in programs):
            return built
        version = go_version()
        if version is None:
            raise RequirementMissingError(
                f"Go (1.26.5 or newer) is missing, to build {', '.join(programs)}: install it, or put them on PATH. "
                "`make test-fast` runs without."
            )
        folder = self._cache / "bin" / f"{toolset.name}-{toolset.source_hash}-{version}"
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("draft-*"):
            shutil.rmtree(stale)
        with tempfile.TemporaryDirectory(prefix="draft-", dir=folder) as draft:
            argv = ["go", "build", "-v", "-trimpath", f"-ldflags={toolset.ldflags}", "-o", f"{draft}/"]
            argv += [toolset.packages[program] for program in programs]
            seconds = self._run(argv, toolset, todo, progress)
            for program in programs:
                (Path(draft) / program).rename(folder / program)
        self._record(toolset.name, seconds)
        progress(f"built {', '.join(programs)} in {_clock(seconds)}")
        return self._built(toolset)

    def _run(self, argv: list[str], toolset: Toolset, todo: list[Toolset], progress: Callable[[str], None]) -> float:
        """Run the compiler, reporting every few seconds; return how long it took, in seconds."""
        start = last = time.monotonic()
        log = self._cache / f"build-{toolset.name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv,
                cwd=toolset.folder,
                env={**os.environ, "CGO_ENABLED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            try:
                progress(self._line(toolset, todo, 0.0, log))
                while process.poll() is None:
                    if time.monotonic() - last >= _REPORT_EVERY_SECONDS:
                        last = time.monotonic()
                        progress(self._line(toolset, todo, last - start, log))
                    time.sleep(0.1)
            finally:
                process.kill()
                process.wait()
        if process.returncode != 0:
            words = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
            raise LabError(f"building {toolset.name} failed; the end of {log}:\n{words}")
        return time.monotonic() - start

    def _line(self, toolset: Toolset, todo: list[Toolset], elapsed: float, log: Path) -> str:
        expected = self._expected()
        # A build that outlasts its estimate is on a busy machine: promise a tenth more, not "now".
        usual = expected[toolset.name]
        left = max(usual - elapsed, usual / 10) + sum(expected[other.name] for other in todo[1:])
        compiled = len(re.findall(rb"^[^# \n]+$", log.read_bytes(), re.MULTILINE))
        return (
            f"building {toolset.name} {toolset.version}: {_clock(elapsed)}, {compiled} packages compiled, "
            f"about {_clock(left)} to go for all programs"
        )

    def _expected(self) -> dict[str, float]:
        try:
            recorded: dict[str, float] = json.loads(self._durations.read_text())
        except (OSError, ValueError):
            recorded = {}
        return _TYPICAL_SECONDS | recorded

    def _record(self, name: str, seconds: float) -> None:
        """Remember a real build's time; one that only linked says nothing about the next cold one."""
        if seconds > _TYPICAL_SECONDS[name] / 4:
            draft = self._durations.with_suffix(".draft")
            draft.write_text(json.dumps({**self._expected(), name: round(seconds, 1)}))
            draft.rename(self._durations)


def go_version() -> str | None:
    """Version of Go that would build the tools (``go1.26.8``), or None if there is no Go, or it is too old."""
    if not shutil.which("go"):
        return None
    done = subprocess.run(
        ["go", "env", "GOVERSION"], cwd=_TOOLS / "pause", capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout.strip() or None


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
