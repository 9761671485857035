"""``lab down`` leaves nothing behind: after a whole lab, and after one whose start was killed at any point."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.lab import Lab, RequirementMissingError, daemons, namespaces, requirements
from tests.cluster.lab.toolchain import TOOLSETS, Toolchain

from . import host
from .conftest import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster.lab.layout import Layout

pytestmark = [pytest.mark.lab, pytest.mark.long]

INSTANCE = 9
UP = [sys.executable, "-m", "tests.cluster.lab", "up"]
DOWN = [sys.executable, "-m", "tests.cluster.lab", "down"]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Layout]:
    """Names of the instance under test, which is down, and whose programs are built: starts are quick to kill."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    lab = Lab.from_environment(environment(INSTANCE))
    try:
        requirements.ensure(requirements.CLUSTER_COMMANDS, print, cni=True)
        Toolchain(lab.layout.cache).ensure(TOOLSETS, print)
    except RequirementMissingError as missing:
        pytest.skip(str(missing))
    lab.down()
    yield lab.layout
    lab.down()
    assert list(temporary.iterdir()) == []


def run(argv: list[str]) -> str:
    done = subprocess.run(argv, env=environment(INSTANCE), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settle(before: host.Host) -> dict[str, list[str]]:
    """What is left; asked again for a while, as the kernel takes namespaces down behind the scenes."""
    deadline = time.monotonic() + 10
    while (left := host.look(INSTANCE).left_behind_since(before)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def test_up_and_down_leave_nothing(layout: Layout) -> None:
    before = host.look(INSTANCE)
    run([*UP, "--clusters=hub,site-a"])
    lab = Lab.from_environment(environment(INSTANCE))
    site = lab.clusters["site-a"]
    pod = ["run", "sleeper", "--image=localhost/skerry-pause:1", "--image-pull-policy=Never"]
    site.kubectl(*pod)
    site.kubectl("wait", "--for=condition=Ready", "pod/sleeper", "--timeout=60s")
    guest = site.exec(["sleep", "600"])
    during = host.look(INSTANCE).left_behind_since(before)
    # The look sees what it is meant to see, or an empty difference below would prove nothing.
    assert {"namespaces", "marked", "mounts", "links", "routes", "cgroups", "files"} <= set(during)
    run(DOWN)
    assert guest.wait(timeout=5) == -9
    assert settle(before) == {}
    assert "0 processes killed" in run(DOWN)


def _component(name: str) -> Callable[[Layout], bool]:
    def runs(layout: Layout) -> bool:
        return daemons.running(f"{layout.cluster('site-a').cgroup}/system/{name}", Path(name))

    return runs


POINTS: dict[str, Callable[[Layout], bool]] = {
    "network": lambda layout: namespaces.is_netns(layout.cluster("hub").netns_path),
    "keys": lambda layout: layout.cluster("hub").pki.with_name("pki.draft").exists(),
    "node": lambda layout: bool(daemons.marked(f"{layout.prefix}:site-a")),
    "API server": _component("kube-apiserver"),
    "kubelet": _component("kubelet"),
}


@pytest.mark.parametrize("point", POINTS)
def test_killed_start_is_cleaned_up(layout: Layout, tmp_path: Path, point: str) -> None:
    before = host.look(INSTANCE)
    kill_at(POINTS[point], layout, tmp_path / "up.log")
    run(DOWN)
    assert settle(before) == {}


@pytest.mark.parametrize("point", ["keys", "API server"])
def test_killed_start_is_finished_by_the_next(layout: Layout, tmp_path: Path, point: str) -> None:
    kill_at(POINTS[point], layout, tmp_path / "up.log")
    run([*UP, "--clusters=hub,site-a"])
    lab = Lab.from_environment(environment(INSTANCE))
    assert [cluster.kubectl("get", "--raw=/readyz").stdout for cluster in lab.clusters.values()] == ["ok", "ok"]


def kill_at(reached: Callable[[Layout], bool], layout: Layout, log: Path) -> None:
    """Start the lab and SIGKILL the command as soon as it has come that far."""
    with log.open("wb") as output:
        command = subprocess.Popen(
            [*UP, "--clusters=hub,site-a"], env=environment(INSTANCE), stdout=output, stderr=output
        )
        try:
            deadline = time.monotonic() + 120
            while not reached(layout):
                assert command.poll() is None, f"up ended before that point:\n{log.read_text()}"
                assert time.monotonic() < deadline, log.read_text()
        finally:
            command.kill()
            command.wait()
