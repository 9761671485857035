"""What a process and its container use, for Prometheus; and by what one run of the process is told from the next."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry_edge.telemetry.cgroup import FILES, ContainerUse, container_use, folders

_STATUS = Path("/proc/self/status")
_PEAK = "VmHWM:"


def read_container_use(memberships: Path = Path("/proc/self/cgroup"), root: Path = Path("/")) -> ContainerUse:
    """Read the control groups of this process; whatever can't be read isn't told."""
    found: dict[tuple[str, str], str] = {}
    for controller, folder in folders(_text(memberships)):
        for name in FILES[controller]:
            if (controller, name) not in found:
                text = _text(root / folder.relative_to("/") / name)
                if text:
                    found[controller, name] = text
    return container_use(found)


def peak_memory(status: str) -> int | None:
    """Largest resident size so far in bytes, from the text of /proc/self/status."""
    for line in status.splitlines():
        if line.startswith(_PEAK):
            return int(line.split()[1]) << 10
    return None


class ProcessUse(Collector):
    """Registers itself, and Prometheus' own metrics of a process beside it."""

    def __init__(
        self,
        process: str,
        registry: CollectorRegistry,
        container: Callable[[], ContainerUse] = read_container_use,
    ) -> None:
        """`process` names this one among the node's."""
        # A start time won't do: it is told by the wall clock, and moves when that is set.
        self._info = {"process": process, "run": secrets.token_hex(8)}
        self._container = container
        ProcessCollector(registry=registry)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("skerry_process", "This run of the process.", value=self._info)
        peak = peak_memory(_text(_STATUS))
        use = self._container()
        gauges = (
            ("skerry_process_resident_memory_peak_bytes", "Largest resident memory size so far.", peak),
            ("skerry_container_memory_bytes", "Working set of the container.", use.memory),
            ("skerry_container_memory_limit_bytes", "Memory limit of the container.", use.memory_limit),
        )
        counters = (
            ("skerry_container_cpu_seconds", "Processor time of the container.", use.cpu_seconds),
            ("skerry_container_throttled_seconds", "Time that the container was throttled.", use.throttled_seconds),
            ("skerry_container_oom_kills", "Processes of the container killed for memory.", use.oom_kills),
        )
        for name, text, value in gauges:
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)
        for name, text, count in counters:
            if count is not None:
                yield CounterMetricFamily(name, text, value=count)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
