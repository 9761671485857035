"""The lab's object store: versitygw, a real S3 server over a plain folder, beside the hub's cluster.

It is built with a main.go of ours (see tools/versitygw), which refuses keys with dot segments.

It lives in the hub's network (a site that is cut off has no store) but is no part of the hub's node: killing the
hub's processes leaves it be. Plain HTTP: the lab's only wire is this machine's memory; TLS to a store is tested
where it belongs, with the client's own settings.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

from . import cgroups, daemons, probes
from .errors import LabError
from .layout import HUB, STORE_PORT
from .waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

_HEALTH = "/health"


class S3Server:
    """One S3 server; the same ``endpoint`` works from this machine, from every cluster and from their pods."""

    def __init__(self, layout: Layout, program: Path) -> None:
        self._layout = layout
        self._hub = layout.cluster(HUB)
        self._program = program
        self._group = f"{layout.prefix}/store"
        self._folder = layout.state / "store"

    @property
    def endpoint(self) -> str:
        """URL with scheme and port, no path."""
        return f"http://{self._hub.address}:{STORE_PORT}"

    @property
    def region(self) -> str:
        return "us-east-1"

    @property
    def root(self) -> Path:
        """Folder that holds the buckets, one folder each."""
        return self._folder / "buckets"

    @property
    def log(self) -> Path:
        return self._folder / "versitygw.log"

    @property
    def access_key(self) -> str:
        return self._credentials()["access_key"]

    @property
    def secret_key(self) -> str:
        return self._credentials()["secret_key"]

    def _credentials(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((self._folder / "credentials.json").read_text())
        except OSError as error:
            raise LabError(f"the store has no credentials yet ({error}): bring the lab up first") from error
        return found

    def _ensure_credentials(self) -> None:
        path = self._folder / "credentials.json"
        if path.exists():
            return
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"access_key": "lab-" + secrets.token_hex(6), "secret_key": secrets.token_urlsafe(32)}, file)
        draft.rename(path)

    @property
    def is_running(self) -> bool:
        return daemons.running(self._group, self._program)

    def pids(self) -> set[int]:
        return cgroups.pids(self._group)

    def start(self) -> None:
        """Start it unless it runs; returns when it answers. Raises DeadlineError naming its log."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._ensure_credentials()
        if not self.is_running:
            daemons.start(
                [
                    str(self._program),
                    f"--port={self._hub.address}:{STORE_PORT}",
                    f"--health={_HEALTH}",
                    f"--region={self.region}",
                    "--keep-alive",
                    "posix",
                    str(self.root),
                ],
                group=self._group,
                marker=f"{self._layout.prefix}:store",
                log=self.log,
                enter=["nsenter", f"--net={self._hub.netns_path}"],
                environ={"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key},
            )
        address = (self._hub.address, STORE_PORT)
        wait_for(
            "store: answers",
            lambda: probes.get(self._hub.netns_path, address, _HEALTH) is not None,
            seconds=30,
            log=self.log,
        )

    def replace_keys(self) -> None:
        """Have it know another key pair, and the one of before no longer."""
        self.stop()
        (self._folder / "credentials.json").unlink()
        self.start()

    def stop(self) -> None:
        """Kill it, as a crash would; its data stays."""
        cgroups.kill(self._group)
