"""What is left of the node's volume, for Prometheus."""

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class DiskUse(Collector):
    """Looks when scraped; a volume that can't be looked at isn't told of."""

    def __init__(self, volume: Path) -> None:
        self._volume = volume

    def collect(self) -> Iterator[Metric]:
        try:
            found = os.statvfs(self._volume)
        except OSError:
            return
        free, capacity = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
        yield GaugeMetricFamily("skerry_disk_free_bytes", "Bytes of the volume that may still be used.", value=free)
        yield GaugeMetricFamily("skerry_disk_capacity_bytes", "Bytes of the volume.", value=capacity)
