"""What a container uses of memory and processor, from its control groups: versions 1 and 2. Pure.

Sources: https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/
(memory.rst, cpuacct.rst), and the CFS throttling section of https://docs.kernel.org/scheduler/sched-bwc.html.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

MOUNT = PurePosixPath("/sys/fs/cgroup")
# Version 1 says "no limit" by the largest number that is a whole count of pages.
_UNLIMITED = 1 << 62
_MICROSECONDS, _NANOSECONDS = 1e6, 1e9

# File names by controller; "" is version 2's only hierarchy.
FILES: Mapping[str, tuple[str, ...]] = {
    "": ("memory.current", "memory.max", "memory.stat", "memory.events", "cpu.stat"),
    "memory": ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.stat", "memory.oom_control"),
    "cpu": ("cpu.stat",),
    "cpuacct": ("cpuacct.usage",),
}


@dataclass(frozen=True)
class ContainerUse:
    """A container's use as of now; None where the kernel doesn't tell, and for a limit that isn't set.

    `memory` is the working set in bytes, as the kubelet counts it: what is in use without inactive file pages.
    """

    memory: int | None = None
    memory_limit: int | None = None
    cpu_seconds: float | None = None
    throttled_seconds: float | None = None
    oom_kills: int | None = None


def folders(memberships: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Where each controller's files may be, best first, from the text of /proc/self/cgroup.

    In a container the mount point itself is the container's group; outside, the path below it is.
    """
    for line in memberships.splitlines():
        _, there, rest = line.partition(":")
        controllers, also, path = rest.partition(":")
        if not (there and also):
            continue
        for controller in controllers.split(","):
            if controller in FILES:
                base = MOUNT / (controllers or "")
                yield controller, base / path.lstrip("/")
                yield controller, base
                if "," in controllers:
                    yield controller, MOUNT / controller


def container_use(files: Mapping[tuple[str, str], str]) -> ContainerUse:
    """Read the files that were found, by (controller, name)."""
    if ("", "memory.current") in files:
        return _version_2({name: text for (controller, name), text in files.items() if not controller})
    return _version_1({f"{controller}/{name}": text for (controller, name), text in files.items()})


def _version_2(files: Mapping[str, str]) -> ContainerUse:
    cpu = _table(files.get("cpu.stat", ""))
    return ContainerUse(
        memory=_working_set(files.get("memory.current"), _table(files.get("memory.stat", "")).get("inactive_file")),
        memory_limit=_number(files.get("memory.max")),
        cpu_seconds=_scaled(cpu.get("usage_usec"), _MICROSECONDS),
        throttled_seconds=_scaled(cpu.get("throttled_usec"), _MICROSECONDS),
        oom_kills=_table(files.get("memory.events", "")).get("oom_kill"),
    )


def _version_1(files: Mapping[str, str]) -> ContainerUse:
    inactive = _table(files.get("memory/memory.stat", "")).get("total_inactive_file")
    limit = _number(files.get("memory/memory.limit_in_bytes"))
    throttled = _table(files.get("cpu/cpu.stat", "")).get("throttled_time")
    return ContainerUse(
        memory=_working_set(files.get("memory/memory.usage_in_bytes"), inactive),
        memory_limit=None if limit is None or limit >= _UNLIMITED else limit,
        cpu_seconds=_scaled(_number(files.get("cpuacct/cpuacct.usage")), _NANOSECONDS),
        throttled_seconds=_scaled(throttled, _NANOSECONDS),
        oom_kills=_table(files.get("memory/memory.oom_control", "")).get("oom_kill"),
    )


def _working_set(used: str | None, inactive: int | None) -> int | None:
    total = _number(used)
    return None if total is None else max(total - (inactive or 0), 0)


def _table(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}  # noqa: PLR2004


def _number(text: str | None) -> int | None:
    stripped = (text or "").strip()
    return int(stripped) if stripped.isdecimal() else None


def _scaled(value: int | None, by: float) -> float | None:
    return None if value is None else value / by
