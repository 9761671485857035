"""The node's signals put together: what sync exposes, records in its log, and pushes where it's told to."""

import time
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import TELEMETRY
from skerry_core.store.metered import Meter
from skerry_core.sync_policy.defaults import BUILT_IN_STREAMS
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.expiry import uptime_ms
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.settings import StreamSettings
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.sync.inference_api import InferenceApi
from skerry_edge.sync.supervisor import Loop
from skerry_edge.telemetry.disk_use import DiskUse
from skerry_edge.telemetry.error_classes import ErrorClasses
from skerry_edge.telemetry.exposition import measure, parse
from skerry_edge.telemetry.log_collector import LogCollector
from skerry_edge.telemetry.loop import TelemetryLoop
from skerry_edge.telemetry.otlp_settings import OtlpSettings
from skerry_edge.telemetry.pace import tell_seconds
from skerry_edge.telemetry.process_use import ProcessUse
from skerry_edge.telemetry.recorder import Recorder

_SYNC, _INFERENCE = "sync", "inference"


class NodeTelemetry:
    """Registers what sync tells of itself, and has the loops `telemetry` and, if it's configured, `otlp`."""

    def __init__(
        self,
        *,
        site: str,
        node: str,
        root: Path,
        boot: str,
        logs: EventLogs,
        inference: InferenceApi,
        registry: CollectorRegistry,
        errors: ErrorClasses,
        environment: Mapping[str, str],
        meter: Meter,
    ) -> None:
        """`root` is the volume, `boot` the name of this boot, `logs` are sync's own.

        `meter` is told of what pushes by OTLP send and receive.

        Raises OSError, and UserMustActError for OTEL_* variables that can't be followed.
        """
        ProcessUse(_SYNC, registry)
        for collector in (errors, DiskUse(root), LogCollector(logs.status, logs.settings)):
            registry.register(collector)
        self._logs = logs
        log = logs.open(_settings(None))
        self._loop = TelemetryLoop(
            Recorder(root / "sync" / "telemetry.json", log),
            {
                _SYNC: lambda: measure(registry.collect()),
                _INFERENCE: lambda: measure(parse(inference.metrics())),
            },
            NodeTime(lambda: time.time_ns() // 1000),
            uptime_ms,
            boot,
        )
        self.loops: tuple[Loop, ...] = (Loop("telemetry", self._loop.step),)
        otlp = OtlpSettings.from_environment(environment)
        if otlp is not None:
            # Ten MiB that a node without a receiver doesn't need.
            from skerry_edge.telemetry.otlp import Identity, OtlpPush  # noqa: PLC0415

            families = {
                _SYNC: lambda: list(registry.collect()),
                _INFERENCE: lambda: parse(inference.metrics()),
            }
            push = OtlpPush(otlp, Identity(site, node), families, meter)
            self.loops += (Loop("otlp", push.step),)

    def adopt(self, policy: SyncPolicyDocument) -> None:
        """Keep the telemetry as this policy says from now on. Raises OSError."""
        settings = _settings(policy)
        self._logs.open(settings)
        self._loop.tell_seconds = tell_seconds(policy.tiers[settings.tier])

    def close(self) -> None:
        """Tell of the last moments; before the logs are closed."""
        self._loop.close()


def _settings(policy: SyncPolicyDocument | None) -> StreamSettings:
    stream = (policy.stream(TELEMETRY) if policy is not None else None) or BUILT_IN_STREAMS[TELEMETRY]
    return StreamSettings(stream.name, stream.tier.rank, stream.max_age, stream.max_bytes)
