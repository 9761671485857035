"""What the process is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from skerry_core.errors import UserMustActError

DEFAULT_ROOT = "/var/lib/skerry"
DEFAULT_TRUST_DIR = "/etc/skerry/trust"
DEFAULT_MQTT_DIR = "/etc/skerry/mqtt"
DEFAULT_PRODUCERS_DIR = "/etc/skerry/producers"
DEFAULT_DEVICES_DIR = "/etc/skerry/devices"
_MAX_PORT = 65535


@dataclass(frozen=True)
class Config:
    """Names, folders and ports; the trust folder holds trusted_root.json, policy.pub and hub.pub.

    The MQTT folder has the files of the site's broker (see `skerry_edge.ingest.mqtt.broker`), that of producers says
    who may send events (`skerry_edge.ingest.producers`), that of devices what is known of them
    (`skerry_edge.ingest.devices`); none need be there.
    """

    site: str
    node: str
    root: Path = Path(DEFAULT_ROOT)
    trust_dir: Path = Path(DEFAULT_TRUST_DIR)
    mqtt_dir: Path = Path(DEFAULT_MQTT_DIR)
    producers_dir: Path = Path(DEFAULT_PRODUCERS_DIR)
    devices_dir: Path = Path(DEFAULT_DEVICES_DIR)
    http_port: int = 8080
    status_port: int = 8081
    events_port: int = 8083

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def state(self) -> Path:
        """The folder that only this process writes."""
        return self.root / "inference"


def from_environment(environment: Mapping[str, str]) -> Config:
    """Read SKERRY_* variables; UserMustActError `ConfigInvalid` names the one that is missing or wrong."""
    return Config(
        site=_required(environment, "SKERRY_SITE"),
        node=_required(environment, "SKERRY_NODE"),
        root=Path(environment.get("SKERRY_ROOT", DEFAULT_ROOT)),
        trust_dir=Path(environment.get("SKERRY_TRUST_DIR", DEFAULT_TRUST_DIR)),
        mqtt_dir=Path(environment.get("SKERRY_MQTT_DIR", DEFAULT_MQTT_DIR)),
        producers_dir=Path(environment.get("SKERRY_PRODUCERS_DIR", DEFAULT_PRODUCERS_DIR)),
        devices_dir=Path(environment.get("SKERRY_DEVICES_DIR", DEFAULT_DEVICES_DIR)),
        http_port=_port(environment, "SKERRY_HTTP_PORT", 8080),
        status_port=_port(environment, "SKERRY_STATUS_PORT", 8081),
        events_port=_port(environment, "SKERRY_EVENTS_PORT", 8083),
    )


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise UserMustActError("ConfigInvalid", f"{name} must be set")
    return value


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) > _MAX_PORT:
        raise UserMustActError("ConfigInvalid", f"{name} must be a port, not {text!r}")
    return int(text)
