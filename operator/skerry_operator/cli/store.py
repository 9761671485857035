"""The options of commands that use the store, and the store they name."""

import os
from pathlib import Path
from typing import Annotated

import typer

from skerry_core.store.location import S3Access

Endpoint = Annotated[str, typer.Option(envvar=["SKERRY_ENDPOINT", "AWS_ENDPOINT_URL"], help="URL of the S3 server.")]
Region = Annotated[str, typer.Option(envvar="AWS_REGION", help="Region of the bucket.")]
CaFile = Annotated[
    Path | None, typer.Option(exists=True, dir_okay=False, help="PEM file of the S3 server's own authority.")
]


def access(uri: str, endpoint: str, region: str, ca_file: Path | None) -> S3Access | None:
    """How to reach the store at `uri`, with the key pair from the environment; None if it is a folder."""
    if not uri.startswith("s3:"):
        return None
    access_key, secret_key = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not endpoint:
        raise typer.BadParameter("an s3:// store needs --endpoint")
    if not access_key or not secret_key:
        raise typer.BadParameter("an s3:// store needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be set")
    return S3Access(endpoint, access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN"), region, ca_file)
