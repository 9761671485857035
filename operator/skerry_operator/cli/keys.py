"""`skerry keys`: make the keys that sign assignments and trust policies."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from skerry_core.durable import write_file
from skerry_core.trust.keys import generate_key_pair
from skerry_operator.cli.output import write_secret

app = typer.Typer(add_completion=False, no_args_is_help=True)


class KeyKind(StrEnum):
    HUB = "hub"
    POLICY = "policy"


@app.callback()
def keys() -> None:
    """Make the keys that sign assignments and trust policies."""


@app.command()
def new(
    kind: Annotated[KeyKind, typer.Argument(help="hub signs assignments; policy signs trust policies, kept offline.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder for KIND.key and KIND.pub.")
    ] = Path(),
) -> None:
    """Make a key pair: KIND.key, private and for you alone, and KIND.pub, to be pinned at every site."""
    private, public = out / f"{kind}.key", out / f"{kind}.pub"
    if os.path.lexists(private):
        raise typer.BadParameter(f"{private} is there already; private keys are never overwritten")
    out.mkdir(parents=True, exist_ok=True)
    pair = generate_key_pair()
    write_secret(private, pair.private_pem)
    write_file(public, pair.public_pem, 0o644)
    typer.echo(private)
    typer.echo(public)
