"""Running buildah: a storage of its own in the cache folder, and no trace anywhere else on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import dockerfile as dockerfiles
from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_REPORT_EVERY_SECONDS = 10.0
_MOST_IMAGES = 60
_POLICY = json.dumps({"default": [{"type": "insecureAcceptAnything"}]})


class Buildah:
    """Buildah with storage below ``folder``; ``log`` gets what it says."""

    def __init__(self, folder: Path) -> None:
        self._storage = folder / "storage"
        self.log = folder / "buildah.log"
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, image: str) -> bool:
        return bool(self._run(["images", "--quiet", "--filter", f"reference={image}"], check=False).strip())

    def start_over_if_large(self) -> None:
        """Throw the storage away once many builds have piled up in it: each changed line leaves a layer behind."""
        if len(set(self._run(["images", "--all", "--quiet"], check=False).split())) > _MOST_IMAGES:
            shutil.rmtree(self._storage)

    def build(
        self,
        dockerfile: Path,
        image: str,
        context: Path,
        *,
        build_args: Mapping[str, str],
        volumes: Sequence[str] = (),
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Build ``image``; volumes are ``here:inside:options``. Raises LabError with the end of the log."""
        # buildah notes which network helper it once found, and gives up when that one is uninstalled; none is needed.
        (self._storage / "defaultNetworkBackend").unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="skerry-build-") as scratch:
            ignore = Path(scratch) / "ignore"
            ignore.write_text("".join(f"**/{pattern}\n{pattern}\n" for pattern in dockerfiles.IGNORED))
            policy = Path(scratch) / "policy.json"
            policy.write_text(_POLICY)
            self._run(
                [
                    "bud",
                    "--isolation=chroot",
                    "--network=host",
                    "--layers",
                    "--pull=false",
                    f"--signature-policy={policy}",
                    f"--ignorefile={ignore}",
                    *(f"--build-arg={key}={value}" for key, value in build_args.items()),
                    *(f"--volume={volume}" for volume in volumes),
                    f"--file={dockerfile}",
                    f"--tag={image}",
                    str(context),
                ],
                progress=progress,
            )

    def export(self, image: str, tar: Path, name: str) -> None:
        """Write ``image`` as a docker archive at ``tar``, called ``name`` in there."""
        with tempfile.TemporaryDirectory(prefix="skerry-build-") as scratch:
            policy = Path(scratch) / "policy.json"
            policy.write_text(_POLICY)
            self._run(["push", f"--signature-policy={policy}", image, f"docker-archive:{tar}:{name}"])

    def _run(self, args: Sequence[str], *, check: bool = True, progress: Callable[[str], None] | None = None) -> str:
        """Run in a mount namespace of its own (its mounts die with it) with a run folder that is new each time."""
        with tempfile.TemporaryDirectory(prefix="skerry-buildah-") as runroot, self.log.open("ab") as log:
            storage = [f"--root={self._storage}", f"--runroot={runroot}", f"--storage-driver={self._driver()}"]
            argv = ["unshare", "--mount", "buildah", *storage, *args]
            start = time.monotonic()
            marked = log.tell()
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log if progress else subprocess.PIPE, stderr=log
            )
            try:
                while progress and process.poll() is None:
                    try:
                        process.wait(_REPORT_EVERY_SECONDS)
                    except subprocess.TimeoutExpired:
                        progress(f"  {time.monotonic() - start:.0f} s: {self._last_line()}")
                output, _ = process.communicate()
            finally:
                process.kill()
                process.wait()
        if check and process.returncode != 0:
            with self.log.open("rb") as log:
                log.seek(marked)
                words = log.read().decode(errors="replace").splitlines()[-15:]
            raise LabError(f"buildah {args[0]} failed; the end of {self.log}:\n" + "\n".join(words))
        return (output or b"").decode()

    def _last_line(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - 2000))
            lines = log.read().decode(errors="replace").split()
        return " ".join(lines)[-100:]

    def _driver(self) -> str:
        """Overlay, unless the cache itself lies on one (inside a container), where the kernel refuses a second."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        above = [fields for fields in mounts if self._storage.is_relative_to(fields[1])]
        kind = max(above, key=lambda fields: len(fields[1]))[2]
        return "vfs" if kind == "overlay" else "overlay"
