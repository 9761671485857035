"""Control groups as they were read on real machines."""

from pathlib import PurePosixPath as P

import pytest

from skerry_edge.telemetry.cgroup import ContainerUse, container_use, folders
from skerry_edge.telemetry.process_use import peak_memory, read_container_use

CPU_2 = """usage_usec 5317251
user_usec 3215212
system_usec 2102039
nr_periods 240
nr_throttled 31
throttled_usec 1500000
nr_bursts 0
burst_usec 0
"""
MEMORY_STAT_2 = "anon 29360128\nfile 10485760\nkernel 1114112\ninactive_anon 29356032\ninactive_file 8388608\n"
MEMORY_STAT_1 = "cache 4096\nrss 1064960\ninactive_file 0\ntotal_cache 135168\ntotal_inactive_file 102400\n"
OOM_1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
VERSION_2 = {
    ("", "memory.current"): "41943040\n",
    ("", "memory.max"): "125829120\n",
    ("", "memory.stat"): MEMORY_STAT_2,
    ("", "memory.events"): "low 0\nhigh 0\nmax 17\noom 1\noom_kill 1\noom_group_kill 0\n",
    ("", "cpu.stat"): CPU_2,
}
VERSION_1 = {
    ("memory", "memory.usage_in_bytes"): "1167360\n",
    ("memory", "memory.limit_in_bytes"): "125829120\n",
    ("memory", "memory.stat"): MEMORY_STAT_1,
    ("memory", "memory.oom_control"): OOM_1,
    ("cpu", "cpu.stat"): "nr_periods 10\nnr_throttled 3\nthrottled_time 250000000\n",
    ("cpuacct", "cpuacct.usage"): "73456789012\n",
}


@pytest.mark.parametrize(
    ("files", "use"),
    [
        (VERSION_2, ContainerUse(33554432, 125829120, 5.317251, 1.5, 1)),
        (VERSION_2 | {("", "memory.max"): "max\n"}, ContainerUse(33554432, None, 5.317251, 1.5, 1)),
        (VERSION_1, ContainerUse(1064960, 125829120, 73.456789012, 0.25, 2)),
        (
            VERSION_1 | {("memory", "memory.limit_in_bytes"): "9223372036854771712\n"},
            ContainerUse(1064960, None, 73.456789012, 0.25, 2),
        ),
        ({}, ContainerUse()),
        ({("", "cpu.stat"): CPU_2}, ContainerUse()),
        ({("", "memory.current"): "what?", ("", "cpu.stat"): "usage_usec x\n\n1\n"}, ContainerUse()),
    ],
)
def test_use(files, use):
    assert container_use(files) == use


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/\n", [("", P("/sys/fs/cgroup")), ("", P("/sys/fs/cgroup"))]),
        ("0::/kubepods/pod1\n", [("", P("/sys/fs/cgroup/kubepods/pod1")), ("", P("/sys/fs/cgroup"))]),
        (
            "12:cpu,cpuacct:/a\n9:name=systemd:/\n4:memory:/a\n",
            [
                ("cpu", P("/sys/fs/cgroup/cpu,cpuacct/a")),
                ("cpu", P("/sys/fs/cgroup/cpu,cpuacct")),
                ("cpu", P("/sys/fs/cgroup/cpu")),
                ("cpuacct", P("/sys/fs/cgroup/cpu,cpuacct/a")),
                ("cpuacct", P("/sys/fs/cgroup/cpu,cpuacct")),
                ("cpuacct", P("/sys/fs/cgroup/cpuacct")),
                ("memory", P("/sys/fs/cgroup/memory/a")),
                ("memory", P("/sys/fs/cgroup/memory")),
            ],
        ),
        ("nonsense\n\n", []),
    ],
)
def test_folders(text, found):
    assert list(folders(text)) == found


def test_the_container_s_own_mount_is_found(tmp_path):
    for (controller, name), text in VERSION_1.items():
        path = tmp_path / "sys/fs/cgroup" / controller / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    memberships = tmp_path / "cgroup"
    memberships.write_text("4:memory:/outer/a1b2\n3:cpu:/\n2:cpuacct:/\n0::/\n")
    assert read_container_use(memberships, tmp_path) == container_use(VERSION_1)
    assert read_container_use(tmp_path / "nothing", tmp_path) == ContainerUse()


def test_this_process_can_be_read():
    read_container_use()


@pytest.mark.parametrize(
    ("text", "peak"), [("VmPeak:\t  200 kB\nVmHWM:\t   43980 kB\nVmRSS:\t 1 kB\n", 45035520), ("Name:\tpython\n", None)]
)
def test_peak(text, peak):
    assert peak_memory(text) == peak
