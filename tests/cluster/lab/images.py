"""Images of the product, built without Docker and without pulling: a Debian base, then ordinary Dockerfiles.

Results are docker archives in the cache folder: what ``Cluster.import_images`` takes, and what an air-gapped K3s
takes in /var/lib/rancher/k3s/agent/images. Each is named by a hash of all that went in, so asking again is free.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import dockerfile as dockerfiles
from . import pipconf, requirements
from .buildah import Buildah
from .errors import LabError
from .locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextlib import AbstractContextManager

BASE_SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3-venv")
# Documentation, translations and package lists: nothing that runs needs them.
_TRIMMED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)
_BASE_KEY = "-".join([BASE_SUITE, *BASE_PACKAGES])
_KEPT_ARCHIVES = 2


def _silent(_: str) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Base:
    """A base image in the builder's storage; ``name`` is what a Dockerfile gets as its BASE argument."""

    name: str


class ImageBuilder:
    """Builds images in ``cache`` (the lab's cache folder). Needs root; installs buildah and debootstrap if missing."""

    def __init__(self, cache: Path, progress: Callable[[str], None] = _silent) -> None:
        self._folder = cache / "images"
        self._progress = progress
        self._buildah = Buildah(self._folder)

    def base_image(self) -> Base:
        """Make Debian with Python, once (a minute or two, from Debian's mirror)."""
        base = Base(f"localhost/skerry-base:{_BASE_KEY}")
        requirements.ensure(requirements.IMAGE_COMMANDS, self._progress)
        if not self._buildah.has(base.name):
            with self._lock():
                self._make(base)
        return base

    def _lock(self) -> AbstractContextManager[None]:
        return exclusive(self._folder / "lock", self._progress, "another run is building images")

    def _make(self, base: Base) -> None:
        """Put the base into the builder's storage, unless it is there. Under the lock."""
        if self._buildah.has(base.name):
            return
        rootfs = self._folder / f"rootfs-{_BASE_KEY}.tar"
        if not rootfs.exists():
            self._debootstrap(rootfs)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="draft-") as draft:
            context = Path(draft)
            (context / "rootfs.tar").hardlink_to(rootfs)
            (context / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCMD ["python3"]\n')
            self._buildah.build(context / "Dockerfile", base.name, context, build_args={})

    def _debootstrap(self, target: Path) -> None:
        start = time.monotonic()
        self._progress(f"base image: debootstrap {BASE_SUITE} with {', '.join(BASE_PACKAGES)} (a minute or two, once)")
        for stale in self._folder.glob("draft-*"):
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="draft-") as draft:
            root = Path(draft) / "root"
            log = self._folder / "debootstrap.log"
            # In a mount namespace of its own: killed half-way, it leaves no /proc mounted below the cache.
            argv = ["unshare", "--mount", "debootstrap", "--variant=minbase"]
            argv += [f"--include={','.join(BASE_PACKAGES)}", BASE_SUITE, str(root)]
            with log.open("wb") as output:
                done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
            if done.returncode != 0:
                words = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
                raise LabError(f"debootstrap failed; the end of {log}:\n{words}")
            for name in _TRIMMED:
                shutil.rmtree(root / name, ignore_errors=True)
            packed = Path(draft) / "rootfs.tar"
            excluded = ["--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./run/*"]
            subprocess.run(
                ["tar", "--create", "--numeric-owner", f"--file={packed}", f"--directory={root}", *excluded, "."],
                check=True,
            )
            packed.rename(target)
        self._progress(f"base image: ready, {time.monotonic() - start:.0f} s")

    def build_image(
        self,
        dockerfile: Path,
        tag: str,
        base: Base,
        context: Path,
        build_args: Mapping[str, str] | None = None,
    ) -> Path:
        """Build ``tag`` (``name:version``) and return its docker archive; at once if nothing that goes in changed.

        The Dockerfile gets ``ARG BASE`` and ``build_args``. pip works in its RUN lines as it does on this machine,
        with a download cache that is kept between builds (unless it says --no-cache-dir).
        Raises LabError with the end of the build's log.
        """
        arguments = {"BASE": base.name, **(build_args or {})}
        key = dockerfiles.key(dockerfile, context, arguments | {"tag": tag})
        stem = re.sub(r"[^\w.-]", "_", tag)
        archive = self._folder / f"{stem}-{key}.tar"
        if archive.exists():
            return archive
        requirements.ensure(requirements.IMAGE_COMMANDS, self._progress)
        with self._lock():
            if not archive.exists():
                self._buildah.start_over_if_large()
                self._make(base)
                self._build(dockerfile, tag, context, arguments, archive)
                self._forget_old(stem)
        return archive

    def _build(self, dockerfile: Path, tag: str, context: Path, arguments: Mapping[str, str], archive: Path) -> None:
        start = time.monotonic()
        self._progress(f"image {tag}: building")
        pip_cache = self._folder / "pip-cache"
        pip_cache.mkdir(exist_ok=True)
        settings = pipconf.from_machine()
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="draft-") as draft:
            configuration = Path(draft) / "pip.conf"
            configuration.write_text(settings.text)
            volumes = [f"{configuration}:/etc/pip.conf:ro", f"{pip_cache}:/root/.cache/pip:rw"]
            volumes += [f"{here}:{inside}:ro" for here, inside in settings.mounts]
            image = f"localhost/{tag}"
            self._buildah.build(
                dockerfile, image, context, build_args=arguments, volumes=volumes, progress=self._progress
            )
            packed = Path(draft) / "image.tar"
            self._buildah.export(image, packed, tag)
            packed.rename(archive)
        self._progress(
            f"image {tag}: built, {archive.stat().st_size / 2**20:.0f} MiB, {time.monotonic() - start:.0f} s"
        )

    def _forget_old(self, stem: str) -> None:
        """Drop all but the newest archives of one image: each is hundreds of megabytes."""
        archives = sorted(self._folder.glob(f"{stem}-????????????.tar"), key=lambda path: path.stat().st_mtime)
        for old in archives[:-_KEPT_ARCHIVES]:
            old.unlink()


def product_images(builder: ImageBuilder, repository: Path, names: Collection[str] = ()) -> dict[str, Path]:
    """Build each ``images/<name>.Dockerfile`` as ``skerry-<name>:<version of pyproject.toml>``; archives by tag.

    All of them, unless ``names`` chooses.
    """
    version = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    dockerfiles_found = sorted(
        path
        for path in (repository / "images").glob("*.Dockerfile")
        if not names or path.name.removesuffix(".Dockerfile") in names
    )
    if not dockerfiles_found:
        raise LabError(f"{repository / 'images'} holds no *.Dockerfile")
    base = builder.base_image()
    tags = {f"skerry-{path.name.removesuffix('.Dockerfile')}:{version}": path for path in dockerfiles_found}
    return {tag: builder.build_image(path, tag, base, repository) for tag, path in tags.items()}
