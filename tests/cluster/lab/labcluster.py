"""A cluster of the lab's own: a node of namespaces with K3s' parts, and the hands that cut, kill and start it."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from . import archive, namespaces, network, pki, poor_link, probes, workingset
from .cluster import Cluster
from .components import CONTAINERD_SOCKET, PAUSE_IMAGE, command_lines, config_files
from .errors import LabError
from .node import Node
from .requirements import cni_folder
from .waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from .layout import ClusterSpec, Layout

# Started in this order; the second group asks the API server at once and gives up if it isn't there.
_FIRST = ("containerd", "kine", "kube-apiserver")
_SECOND = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
COMPONENTS = _FIRST + _SECOND
_IMAGE_NAMESPACE = "k8s.io"


class LabCluster(Cluster):
    """See Cluster for what each method promises."""

    hands = True

    def __init__(self, layout: Layout, spec: ClusterSpec, programs: Mapping[str, Path]) -> None:
        super().__init__(spec.name, spec.kubeconfig, programs)
        self.spec = spec
        self._layout = layout
        self._node = Node(layout, spec, programs)
        self._peaks: dict[tuple[str, str], int] = {}

    @property
    def address(self) -> str:
        return self.spec.address

    @property
    def node_name(self) -> str:
        return self.spec.node_name

    def _command_prefix(self) -> list[str]:
        return self._inside_network()

    def _environ(self) -> dict[str, str]:
        return super()._environ() | {"NO_PROXY": "*"}  # this machine's proxy doesn't know the lab's addresses

    def _inside_network(self) -> list[str]:
        return ["nsenter", f"--net={self.spec.netns_path}", "--"]

    def exec(self, argv: Sequence[str], **popen: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen([*self._inside_network(), *argv], **popen)

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        settings: dict[str, Any] = {"capture_output": True, "text": True} | options
        check = bool(settings.pop("check", False))
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*self._inside_network(), *argv], check=check, **settings
        )
        return done

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start what doesn't run. Raises DeadlineError naming the log of the part that didn't come up in time."""
        network.ensure_cluster(self._layout, self.spec)
        pki.ensure(self.spec)
        self._write_config()
        # Heartbeats carry whole seconds: one second later, none of an earlier life can pass for one of this.
        begun = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._node.boot()
        fresh = self._start_components(_FIRST)
        self._wait("containerd", "answers", lambda: probes.socket_open(self._node.path(CONTAINERD_SOCKET)), 60)
        self._import_pause()
        self._wait("kube-apiserver", "is ready", lambda: probes.api_ready(self.spec), 120, every=0.25)
        fresh |= self._start_components(_SECOND)
        self._wait("kubelet", "is healthy", lambda: probes.kubelet_healthy(self.spec), 60, every=0.2)
        # The API still holds the Ready of before the kill: only a heartbeat of this life counts.
        since = begun if "kubelet" in fresh else ""
        self._wait("kubelet", "reports Ready", lambda: (probes.node_heartbeat(self.spec) or "") >= (since or "0"), 90)
        self._wait("kube-controller-manager", "serves", lambda: probes.account_exists(self.spec), 60)
        self._wait("kube-proxy", "is healthy", lambda: probes.proxy_healthy(self.spec), 60)

    def _write_config(self) -> None:
        folder = cni_folder()
        if folder is None:
            raise LabError("the network plugins (containernetworking-plugins) are gone; run `lab up` again")
        for name, text in config_files(self.spec, folder).items():
            path = self.spec.etc / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.spec.disk / "lib/kine").mkdir(parents=True, exist_ok=True)

    def _start_components(self, names: Sequence[str]) -> set[str]:
        lines = command_lines(self.spec)
        return {name for name in names if self._node.start(name, lines[name])}

    def _wait(
        self, component: str, what: str, condition: Callable[[], bool], seconds: float, every: float = 0.1
    ) -> None:
        def died() -> str | None:
            return None if self._node.running(component) else f"{component} exited"

        wait_for(
            f"{self.name}: {component} {what}",
            condition,
            seconds=seconds,
            every=every,
            log=self._node.log(component),
            gone=died,
        )

    def is_up(self) -> bool:
        """Whether everything runs and answers; asks once, quickly, and waits for nothing."""
        return (
            all(self._node.running(component) for component in COMPONENTS)
            and probes.api_ready(self.spec)
            and probes.node_heartbeat(self.spec) is not None
        )

    def running(self) -> dict[str, bool]:
        """Which components run, by name."""
        return {component: self._node.running(component) for component in COMPONENTS}

    def kill_everything(self) -> int:
        killed = self._node.kill()
        if left := self.pids():
            raise LabError(f"{self.name}: {sorted(left)} outlived SIGKILL")
        return killed

    def kill(self, component: str) -> int:
        """SIGKILL one component (``kubelet``, say) and its children; ``start`` brings it back. Return how many."""
        return self._node.kill_component(component)

    def pids(self) -> set[int]:
        return self._node.pids()

    # -- disk ----------------------------------------------------------------------------------------------------

    def path(self, inside: str) -> Path:
        """Where this machine sees the path ``inside`` of the running node."""
        return self._node.path(inside)

    def mount_small_disk(self, inside: str, size: int) -> None:
        """Give the node a disk of ``size`` bytes of its own at ``inside``, in memory: it ends with the next kill.

        Pods that have the folder mounted already keep seeing the old one.
        """
        for argv in (["mkdir", "-p", inside], ["mount", "-t", "tmpfs", "-o", f"size={size}", "skerry-disk", inside]):
            namespaces.command(self._node.inside(argv))

    # -- link ----------------------------------------------------------------------------------------------------

    def cut(self) -> None:
        network.set_cable(self._layout, self.spec, plugged=False)

    def join(self) -> None:
        network.set_cable(self._layout, self.spec, plugged=True)

    def thin(self, bits_per_second: int) -> AbstractContextManager[Callable[[], int]]:
        """Let the link carry so many bits a second each way, for a while; how often a packet had to wait so far."""
        return poor_link.thin(self._layout, self.spec, bits_per_second)

    def lossy(self, share: float) -> AbstractContextManager[Callable[[], int]]:
        """Have the link lose this share of its packets each way, for a while; how many it lost so far, each way."""
        return poor_link.lossy(self.spec, share)

    @property
    def is_cut(self) -> bool:
        return not network.is_plugged(self._layout, self.spec)

    # -- images --------------------------------------------------------------------------------------------------

    def ctr(self, *args: str, stdin: Any = None, seconds: float = 600) -> str:
        """Run containerd's client in the node; return its output. Raises LabError with its words."""
        argv = self._node.inside(["ctr", f"--namespace={_IMAGE_NAMESPACE}", *args])
        done = subprocess.run(argv, stdin=stdin, capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode != 0:
            raise LabError(f"{self.name}: ctr {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def import_images(self, tar: Path) -> bool:
        images = archive.contents(tar)
        wanted = {name: image.config for image in images for name in image.names}
        record = self.spec.disk / "lib/imported-images.json"
        known: dict[str, list[str]] = json.loads(record.read_text()) if record.exists() else {}
        have = self._image_digests()
        if all(name in have and known.get(name) == [config, have[name]] for name, config in wanted.items()):
            return False
        with tar.open("rb") as stream:  # by stdin: the node may not see this path
            self.ctr("images", "import", "-", stdin=stream)
        have = self._image_digests()
        if lost := sorted(set(wanted) - set(have)):
            raise LabError(f"{self.name}: imported {tar}, but containerd does not list {', '.join(lost)}")
        known |= {name: [config, have[name]] for name, config in wanted.items()}
        draft = record.with_suffix(".draft")
        draft.write_text(json.dumps(known))
        draft.rename(record)
        return True

    def _image_digests(self) -> dict[str, str]:
        """Digest that containerd files each image under, by every name that it may have been imported by."""
        rows = [line.split() for line in self.ctr("images", "list").splitlines()[1:]]
        return {name: row[2] for row in rows if len(row) > 2 for name in archive.names_of(row[0])}

    def _import_pause(self) -> None:
        tar = self.spec.folder / "pause.tar"
        if not tar.exists():
            archive.write_single_program(tar, PAUSE_IMAGE, self.programs["pause"])
        self.import_images(tar)

    # -- measuring -----------------------------------------------------------------------------------------------

    def working_sets(self) -> dict[tuple[str, str], int]:
        for key, size in workingset.sample(self.spec).items():
            self._peaks[key] = max(size, self._peaks.get(key, 0))
        return dict(self._peaks)

    @contextlib.contextmanager
    def sampled_working_sets(self, every: float = 0.5) -> Iterator[None]:
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(every):
                self.working_sets()

        thread = threading.Thread(target=sample, name=f"working-sets-{self.name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.working_sets()
