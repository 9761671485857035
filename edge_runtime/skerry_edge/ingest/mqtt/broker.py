"""Where the site's broker is and how to show oneself there: files of a folder, which may change at any time.

`url` is mqtt://HOST[:1883] or mqtts://HOST[:8883]; without it there is no broker. With mqtts, `ca.crt` is what the
broker's certificate is held against (else the machine's own authorities), `tls.crt` and `tls.key` are the client's
certificate. `username` and `password` are sent where they are there. `shared` with the content `true` is for sites with
several nodes: see `session`.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from skerry_core.errors import UserMustActError

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_MAX_FILE_BYTES = 64 << 10


@dataclass(frozen=True)
class Broker:
    """A broker; two that are equal need no new connection. Secrets are kept out of what `repr` shows."""

    host: str
    port: int
    tls: bool
    shared: bool
    folder: Path
    files: tuple[tuple[str, bytes], ...]

    def __repr__(self) -> str:
        return f"Broker({self.host}:{self.port}, tls={self.tls})"

    def text(self, name: str) -> str | None:
        """Content of a file without the newline at its end; None if there is no such file."""
        found = dict(self.files).get(name)
        return None if found is None else found.decode().rstrip("\r\n")

    def tls_context(self) -> ssl.SSLContext:
        """For mqtts. Raises UserMustActError `BrokerInvalid` if certificates or key can't serve."""
        names = {name for name, _ in self.files}
        try:
            context = ssl.create_default_context(cadata=self.text("ca.crt"))
            if "tls.crt" in names:
                context.load_cert_chain(
                    self.folder / "tls.crt", self.folder / "tls.key" if "tls.key" in names else None
                )
        except (ssl.SSLError, OSError, ValueError) as error:
            raise UserMustActError("BrokerInvalid", f"the broker's certificates can't serve: {error}") from error
        return context


def load_broker(folder: Path) -> Broker | None:
    """Read the folder; None if it names no broker. Raises UserMustActError `BrokerInvalid`."""
    try:
        files = tuple((name, _read(folder / name)) for name in _names(folder))
    except OSError as error:
        raise UserMustActError("BrokerInvalid", f"{folder} can't be read: {error}") from error
    url = dict(files).get("url", b"").decode(errors="replace").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UserMustActError("BrokerInvalid", f"the broker's url is none: {error}") from error
    if parts.scheme not in _PORTS or not host or parts.path not in {"", "/"} or parts.query or parts.username:
        raise UserMustActError("BrokerInvalid", "the broker's url must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
    shared = dict(files).get("shared", b"").decode(errors="replace").strip()
    if shared not in {"", "true", "false"}:
        raise UserMustActError("BrokerInvalid", "the broker's `shared` must be true or false")
    for name in ("ca.crt", "username", "password"):
        try:
            dict(files).get(name, b"").decode()
        except UnicodeDecodeError as error:
            raise UserMustActError("BrokerInvalid", f"the broker's {name} is no text") from error
    return Broker(host, port or _PORTS[parts.scheme], parts.scheme == "mqtts", shared == "true", folder, files)


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    known = ("url", "ca.crt", "tls.crt", "tls.key", "username", "password", "shared")
    return [name for name in known if (folder / name).is_file()]


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES)
