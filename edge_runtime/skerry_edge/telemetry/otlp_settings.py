"""Whether and how often to push metrics by OTLP, from the variables that OpenTelemetry defines.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and …/protocol/exporter/.
What else those name (headers, timeout, compression, certificates) the exporter itself reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from skerry_core.errors import UserMustActError

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SUPPORTED = "http/protobuf"
_INTERVAL = "OTEL_METRIC_EXPORT_INTERVAL"


@dataclass(frozen=True)
class OtlpSettings:
    """How often to push, and the service's name if the environment gives one."""

    interval: timedelta
    service_name: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """None if nothing is to be pushed. UserMustActError OtlpSettingsInvalid for what can't be done."""
        if not any(environment.get(name) for name in _ENDPOINTS):
            return None
        exporter = environment.get("OTEL_METRICS_EXPORTER") or "otlp"
        if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
            return None
        protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _SUPPORTED)
        if protocol != _SUPPORTED:
            message = f"{_PROTOCOLS[1]} is {protocol!r}: a node speaks {_SUPPORTED}; set that, or leave it away"
            raise UserMustActError("OtlpSettingsInvalid", message)
        milliseconds = environment.get(_INTERVAL) or "60000"
        if not milliseconds.isdecimal() or int(milliseconds) == 0:
            raise UserMustActError("OtlpSettingsInvalid", f"{_INTERVAL} is {milliseconds!r}: give milliseconds")
        return cls(timedelta(milliseconds=int(milliseconds)), environment.get("OTEL_SERVICE_NAME") or None)
