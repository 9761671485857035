"""Where commands write."""

from pathlib import Path

import typer

from skerry_core.durable import write_file

STDOUT = "-"


def write_text(target: str, text: str) -> None:
    """Write to a file, or for `-` to standard output."""
    if target == STDOUT:
        typer.echo(text, nl=False)
    else:
        Path(target).write_text(text, encoding="utf-8")


def write_secret(path: Path, data: bytes) -> None:
    """Write or replace a file that only its owner can read."""
    write_file(path, data, 0o600)
