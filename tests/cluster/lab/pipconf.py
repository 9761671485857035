"""This machine's pip settings, so that ``pip install`` inside an image build reaches what it reaches outside.

They are mounted into the build, not passed as build arguments: an index's password must not end up in an image's
history.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSIDE = "/run/skerry-pip"
# What concerns this machine's terminal or its own Python only.
_LEFT_OUT = {
    "find-links",
    "cert",
    "client-cert",
    "require-virtualenv",
    "user",
    "target",
    "cache-dir",
    "log",
    "no-index",
}


@dataclass(frozen=True)
class PipSettings:
    """Text of a pip.conf, and folders or files to be mounted (path here, path inside) for it to make sense."""

    text: str
    mounts: tuple[tuple[Path, str], ...]


def from_machine() -> PipSettings:
    """Read what pip itself says it would use: its files and its PIP_* variables."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=False
    )
    return translate(parse(done.stdout))


def parse(listing: str) -> dict[str, str]:
    """Read ``pip config list``: settings by name. Variables win over files, the command's own over global ones."""
    found: dict[int, dict[str, str]] = {0: {}, 1: {}, 2: {}}
    ranks = {"global": 0, "install": 1, ":env:": 2}
    for line in listing.splitlines():
        key, equals, value = line.partition("=")
        section, _, name = key.partition(".")
        if equals and section in ranks:
            found[ranks[section]][name] = str(ast.literal_eval(value))
    return found[0] | found[1] | found[2]


def translate(settings: dict[str, str]) -> PipSettings:
    """Give the same settings for use inside a build: local paths become mounts below ``INSIDE``."""
    lines = ["[global]"]
    mounts: list[tuple[Path, str]] = []
    for name, value in sorted(settings.items()):
        if name not in _LEFT_OUT:
            lines.append(f"{name} = {value.replace(chr(10), chr(10) + ' ')}")
    if (certificate := settings.get("cert")) and Path(certificate).is_file():
        mounts.append((Path(certificate), f"{INSIDE}/ca.crt"))
        lines.append(f"cert = {INSIDE}/ca.crt")
    links = []
    for number, link in enumerate(settings.get("find-links", "").split()):
        if "://" in link:
            links.append(link)
        elif Path(link).is_dir():
            mounts.append((Path(link), f"{INSIDE}/links-{number}"))
            links.append(f"{INSIDE}/links-{number}")
    if links:
        lines.append("find-links = " + " ".join(links))
    return PipSettings("\n".join(lines) + "\n", tuple(mounts))
