"""What the chart tells the site operator, by environment and mounted files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from skerry_core.errors import UserMustActError


@dataclass(frozen=True)
class Settings:
    """This site's name, its hub, which images its runtime may run, and where the anchors of trust are mounted."""

    site: str
    namespace: str
    hub_url: str
    hub_ca: Path
    bootstrap_token: Path
    trust_dir: Path
    scratch: Path
    allowed_images: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the environment; UserMustActError names a variable that is missing."""

        def needed(name: str) -> str:
            if not (value := environment.get(name, "")):
                raise UserMustActError("SettingMissing", f"{name} is not set; the chart skerry-site sets it")
            return value

        etc = Path(environment.get("SKERRY_ETC", "/etc/skerry"))
        return cls(
            site=needed("SKERRY_SITE"),
            namespace=environment.get("SKERRY_NAMESPACE", "skerry-system"),
            hub_url=needed("SKERRY_HUB_URL"),
            hub_ca=etc / "hub" / "ca.crt",
            bootstrap_token=etc / "bootstrap" / "token",
            trust_dir=etc / "trust",
            scratch=Path(environment.get("TMPDIR", "/tmp")),  # noqa: S108 - an emptyDir in memory
            allowed_images=tuple(needed("SKERRY_ALLOWED_IMAGES").split()),
        )

    def hub_key(self) -> bytes:
        """The pinned public half of the hub key, PEM; UserMustActError if it isn't mounted."""
        path = self.trust_dir / "hub.pub"
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserMustActError("HubKeyMissing", f"{path}: {error}; set trust.hubPublicKey in the chart") from error
