"""What an image build reads: the files a Dockerfile copies, hashed, so that an unchanged image is never built twice."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from typing import TYPE_CHECKING

from .errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

# Never part of an image: what running or testing leaves behind. Patterns of one path component.
IGNORED = ("__pycache__", "*.pyc", "*.egg-info", ".git", ".venv", ".*_cache", ".hypothesis", ".DS_Store")


def copied_sources(text: str) -> list[str]:
    """Sources of the COPY and ADD lines that read the build context, in order."""
    found: list[str] = []
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        match = re.match(r"\s*(?:COPY|ADD)\s+(.*)", line, re.IGNORECASE)
        if not match:
            continue
        flags, rest = re.match(r"((?:--\S+\s+)*)(.*)", match[1]).groups()  # type: ignore[union-attr]
        if "--from=" in flags:
            continue
        words = json.loads(rest) if rest.startswith("[") else rest.split()
        found += words[:-1]
    return found


def is_ignored(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED)


def files(context: Path, sources: Iterable[str]) -> Iterator[Path]:
    """All files below ``context`` that ``sources`` mean, sorted. Raises LabError for a source that matches nothing."""
    found: set[Path] = set()
    for source in sources:
        pattern = source.strip("/").removeprefix("./")
        matches = sorted(context.glob(pattern)) if pattern not in ("", ".") else [context]
        if not matches:
            raise LabError(f"the Dockerfile copies {source}, but {context} holds no such file")
        for match in matches:
            found |= set(_walk(match))
    return iter(sorted(found))


def _walk(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            if not is_ignored(child.name):
                yield from _walk(child)
    else:
        yield path


def key(dockerfile: Path, context: Path, settings: Mapping[str, str]) -> str:
    """Hash (12 hex digits) of all that goes into the image: Dockerfile, copied files with their modes, settings."""
    text = dockerfile.read_text()
    digest = hashlib.sha256(text.encode())
    digest.update(json.dumps(dict(settings), sort_keys=True).encode())
    for path in files(context, copied_sources(text)):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        mode = path.lstat().st_mode & 0o111
        digest.update(f"{path.relative_to(context)}\0{mode}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]
