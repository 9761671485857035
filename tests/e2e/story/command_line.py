"""Runs the `skerry` command as its users do."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


class SkerryFailedError(Exception):
    """`skerry` exited non-zero; the text is what it said."""


def skerry(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run `skerry` with these arguments and return its standard output; SkerryFailedError with its words."""
    program = Path(sys.executable).with_name("skerry")
    # Authors have machines of their own; on this one they leave the cores to the sites.
    done = subprocess.run(
        ["nice", str(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode != 0:
        raise SkerryFailedError(f"skerry {arguments[0]}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout
