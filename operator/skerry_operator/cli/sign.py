"""`skerry sign`: sign a bundle with a Sigstore identity."""

from pathlib import Path
from typing import Annotated

import typer
from sigstore.oidc import IdentityError, detect_credential

from skerry_core.bundle.folder import read_bundle, write_signature
from skerry_core.bundle.signing import sign_manifest
from skerry_core.errors import UserMustActError


def sign(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A folder made by `skerry package`.")],
    *,
    identity_token: Annotated[
        str | None,
        typer.Option(
            envvar="SIGSTORE_ID_TOKEN",
            help="OIDC token, audience sigstore, whose subject signs. (default: the CI's own, if it gives one)",
        ),
    ] = None,
    trust_config: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Client trust config (JSON) of a private Sigstore. (default: the public one)",
        ),
    ] = None,
) -> None:
    """Sign a bundle with a Sigstore identity.

    The signature is put beside the manifest. Who may sign which models is said by the hub's TrustPolicy.
    """
    bundle = read_bundle(folder)
    signature = sign_manifest(
        bundle.manifest_bytes,
        model=bundle.manifest.model,
        version=bundle.manifest.version,
        identity_token=identity_token or _ambient_token(),
        trust_config=None if trust_config is None else trust_config.read_bytes(),
    )
    typer.echo(write_signature(bundle, signature))
    typer.echo(f"signed {bundle.manifest.model}@{bundle.manifest.version}, {bundle.digest}", err=True)
    typer.echo(f"next: skerry push {folder} --to s3://BUCKET --endpoint URL", err=True)


def _ambient_token() -> str:
    try:
        token = detect_credential()
    except IdentityError as error:
        raise UserMustActError(
            "IdentityTokenInvalid", f"this machine's own OIDC identity can't be had: {error}"
        ) from error
    if token is None:
        raise UserMustActError(
            "IdentityTokenMissing",
            "no identity to sign with: set SIGSTORE_ID_TOKEN or --identity-token, or sign in a CI job that may get one",
        )
    return token
