"""What the pod template tells this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from skerry_core.errors import UserMustActError

_API_HOST, _API_PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
_REQUIRED = ("SKERRY_SITE", "SKERRY_NODE", _API_HOST, _API_PORT)


@dataclass(frozen=True)
class Settings:
    """Who this node is, where its volume, the pinned keys and its credentials are mounted, and whom it talks to.

    `metered`: whether the link costs by the byte, unless `sync/link.json` says otherwise. `address` is where other
    nodes of the site reach this one, empty if nobody said.
    """

    site: str
    node: str
    root: Path
    trust: Path
    credentials: Path
    api_server: str
    inference_status: str
    health_port: int
    metered: bool = False
    site_salt: Path = Path("/etc/skerry/salt/salt")
    address: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment; UserMustActError SettingsIncomplete names what is missing."""
        missing = [name for name in _REQUIRED if not environment.get(name)]
        if missing:
            raise UserMustActError("SettingsIncomplete", f"set {' and '.join(missing)} in the container's environment")
        host, own = environment[_API_HOST], environment.get("SKERRY_ADDRESS", "")
        port = int(environment.get("SKERRY_SYNC_PORT", "8082"))
        return cls(
            site=environment["SKERRY_SITE"],
            node=environment["SKERRY_NODE"],
            root=Path(environment.get("SKERRY_ROOT", "/var/lib/skerry")),
            trust=Path(environment.get("SKERRY_TRUST_DIR", "/etc/skerry/trust")),
            credentials=Path(
                environment.get("SKERRY_CREDENTIALS_DIR", "/var/run/secrets/kubernetes.io/serviceaccount")
            ),
            api_server=f"https://{_bracketed(host)}:{environment[_API_PORT]}",
            inference_status=f"http://127.0.0.1:{environment.get('SKERRY_STATUS_PORT', '8081')}/status",
            health_port=port,
            metered=environment.get("SKERRY_LINK_METERED", "").strip().lower() == "true",
            site_salt=Path(environment.get("SKERRY_SALT_DIR", "/etc/skerry/salt")) / "salt",
            address=f"{_bracketed(own)}:{port}" if own else "",
        )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
