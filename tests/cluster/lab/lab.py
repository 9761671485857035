"""The lab as a whole: clusters, store, and the two verbs up and down."""

from __future__ import annotations

import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from . import contexts, daemons, network, requirements, sweep
from .errors import LabError, NotAvailableError
from .labcluster import LabCluster
from .layout import DEFAULT_CLUSTERS, HUB, Layout, cluster_index
from .locks import exclusive
from .store import S3Server
from .toolchain import TOOLSETS, Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from .cluster import Cluster

    Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Report to nobody."""


class Lab:
    """A hub and sites. ``hands`` is False with the user's own clusters: they can be talked to, and nothing else."""

    def __init__(self, layout: Layout, *, context_names: Sequence[str] = ()) -> None:
        self.layout = layout
        self.hands = not context_names
        self._context_names = tuple(context_names)
        self._store: S3Server | contexts.OwnStore | None = None
        self.clusters: dict[str, Cluster] = {}
        self.programs: dict[str, Path] = {}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Lab:
        """Read CONTEXTS and the SKERRY_LAB_* variables. Starts nothing; a lab that is up can be used at once."""
        env = dict(os.environ) if environ is None else dict(environ)
        lab = cls(Layout.from_environment(env), context_names=contexts.names(env.get("CONTEXTS", "")))
        if lab.hands:
            lab._attach()
        return lab

    @property
    def store(self) -> S3Server | contexts.OwnStore:
        if self._store is None and not self.hands:
            raise NotAvailableError(
                "clusters of your own need a store of your own: set AWS_ENDPOINT_URL (as hub and sites reach it), "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        if self._store is None:
            raise NotAvailableError("the lab's store is not there: the lab is down")
        return self._store

    # -- up ------------------------------------------------------------------------------------------------------

    def up(self, clusters: Iterable[str] = DEFAULT_CLUSTERS, progress: Progress = _silent) -> None:
        """Bring up the named clusters (those that are up stay as they are), the store, and all links.

        Builds and installs what is missing first. Raises RequirementMissingError with one line if this machine can't
        run a lab, DeadlineError naming the log to read if a part doesn't come up.
        """
        if not self.hands:
            self._use_contexts(progress)
            return
        names = _checked(clusters)
        start = time.monotonic()
        requirements.ensure(requirements.CLUSTER_COMMANDS, progress, cni=True)
        requirements.ensure_inotify(progress)
        self._find_programs(progress)
        with self._lock(progress):
            self._refuse_other_state()
            self.layout.state.mkdir(parents=True, exist_ok=True, mode=0o755)
            network.ensure_lan(self.layout)
            for name in names:
                network.ensure_cluster(self.layout, self.layout.cluster(name))
            fresh = self._start_all(names, progress)
        if fresh:
            progress(f"the lab is up: {', '.join(names)} and the store, {time.monotonic() - start:.1f} s")
        else:
            progress(f"the lab was up already: {', '.join(names)}")

    def _start_all(self, names: Sequence[str], progress: Progress) -> bool:
        """Start clusters side by side; return whether anything had to be started."""
        chosen = {name: LabCluster(self.layout, self.layout.cluster(name), self.programs) for name in names}
        with ThreadPoolExecutor(len(chosen) + 1) as pool:
            jobs = [pool.submit(self._start_one, cluster, progress) for cluster in chosen.values()]
            store = S3Server(self.layout, self.programs["versitygw"])
            jobs.append(pool.submit(self._start_store, store, progress))
            fresh = [job.result() for job in jobs]
        self._store = store
        self.clusters |= chosen
        return any(fresh)

    def _start_one(self, cluster: LabCluster, progress: Progress) -> bool:
        begun = time.monotonic()
        cluster.join()
        if cluster.is_up():
            return False
        progress(f"{cluster.name}: starting")
        cluster.start()
        progress(f"{cluster.name}: ready, {time.monotonic() - begun:.1f} s")
        return True

    def _start_store(self, store: S3Server, progress: Progress) -> bool:
        if store.is_running:
            return False
        store.start()
        progress(f"store: answers at {store.endpoint}")
        return True

    def _find_programs(self, progress: Progress) -> None:
        self.programs = Toolchain(self.layout.cache).ensure(TOOLSETS, progress)
        self.programs["containerd"] = Path(shutil.which("containerd") or "containerd")
        self.layout.tools.mkdir(parents=True, exist_ok=True)

    def _refuse_other_state(self) -> None:
        """Two state folders under one instance number would fight over the same names."""
        if not self.layout.state.exists() and daemons.marked(f"{self.layout.prefix}:"):
            raise LabError(
                "a lab with another SKERRY_LAB_STATE is up: take it down first (`lab down`), or start a second one "
                f"beside it with SKERRY_LAB_INSTANCE={(self.layout.instance + 1) % 10}"
            )

    def _use_contexts(self, progress: Progress) -> None:
        self.programs = contexts.programs()
        self.clusters = contexts.clusters(self._context_names, self.layout, self.programs)
        self._store = contexts.store(os.environ)
        progress(f"using clusters of your own: {', '.join(self.clusters)}; the lab can't cut, kill or feed them")

    # -- an existing lab -----------------------------------------------------------------------------------------

    def _attach(self) -> None:
        """Find the clusters that an earlier ``up`` left, without building or starting anything."""
        names = sorted(self.known_names(), key=cluster_index)
        if not names:
            return
        self.programs = Toolchain(self.layout.cache).found(TOOLSETS)
        if containerd := shutil.which("containerd"):
            self.programs["containerd"] = Path(containerd)
        self.clusters = {name: LabCluster(self.layout, self.layout.cluster(name), self.programs) for name in names}
        if "versitygw" in self.programs:
            self._store = S3Server(self.layout, self.programs["versitygw"])

    def known_names(self) -> set[str]:
        """Clusters that have state on disk, running or not."""
        found = (path.parent.name for path in self.layout.state.glob("*/kubeconfig"))
        return {name for name in found if name == HUB or name.startswith("site-")}

    # -- down ----------------------------------------------------------------------------------------------------

    def down(self, progress: Progress = _silent) -> None:
        """Remove every trace of the lab but the build cache, whatever state it is in. Idempotent.

        Raises LabError naming what could not be removed.
        """
        if not self.hands:
            progress("clusters of your own stay as they are")
            return
        requirements.ensure_may_run()
        with self._lock(progress):
            killed = sweep.everything(self.layout)
        self.clusters, self._store = {}, None
        progress(f"the lab is down: {killed} processes killed, nothing left but the cache in {self.layout.cache}")

    def _lock(self, progress: Progress) -> AbstractContextManager[None]:
        path = self.layout.cache / f"lab{self.layout.instance}.lock"
        return exclusive(path, progress, "another lab command is at work")


def _checked(names: Iterable[str]) -> list[str]:
    ordered = sorted(dict.fromkeys(names), key=cluster_index)
    if HUB not in ordered:
        raise LabError(f"a lab needs its hub (the store lives there): {HUB},{','.join(ordered)}")
    return ordered
