"""Docker archives: reading what is in one, and writing one around a single program."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class ArchivedImage:
    """An image in an archive: its names as written there, and the SHA-256 (hex) of its configuration, its identity."""

    names: tuple[str, ...]
    config: str


def contents(path: Path) -> list[ArchivedImage]:
    """List the images in the docker archive at ``path``. Raises LabError if it is none."""
    try:
        with tarfile.open(path) as archive:
            images = []
            for entry in json.loads(_read(archive, "manifest.json")):
                names = tuple(entry["RepoTags"] or ())
                config = _read(archive, entry["Config"])
                images.append(ArchivedImage(names, hashlib.sha256(config).hexdigest()))
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise LabError(f"{path} is no docker archive: {error}") from error
    return images


def _read(archive: tarfile.TarFile, member: str) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise KeyError(member)
    return file.read()


def names_of(filed: str) -> tuple[str, ...]:
    """Names that an image may have been imported by, of the one that containerd files it under.

    containerd puts its default domain, and a folder where there is none, before a short name.
    """
    domain, slash, rest = filed.partition("/")
    if not slash or "." not in domain:
        return (filed,)
    return (filed, rest, rest.removeprefix("library/"))


def write_single_program(path: Path, image: str, program: Path) -> None:
    """Write a docker archive at ``path``: an image called ``image`` with nothing but ``program`` as its entry point.

    Byte for byte the same for the same program. It appears under its final name at once and whole.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, program.name, program.read_bytes(), mode=0o755)
    layer_hash = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"], "User": "65534:65534"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_hash}"]},
            "history": [{"created_by": "skerry lab"}],
        }
    ).encode()
    config_hash = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{config_hash}.json", "RepoTags": [image], "Layers": [f"{layer_hash}/layer.tar"]}]
    draft = path.with_suffix(".draft")
    with tarfile.open(draft, "w") as tar:
        _add(tar, f"{config_hash}.json", config)
        _add(tar, f"{layer_hash}/layer.tar", layer.getvalue())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    draft.rename(path)


def _add(tar: tarfile.TarFile, name: str, data: bytes, *, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))
