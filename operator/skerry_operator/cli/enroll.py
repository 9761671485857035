"""`skerry enroll`: let a new site in."""

import secrets
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml
from pydantic import TypeAdapter, ValidationError

from skerry_api.kinds import SITE_NAMESPACE_PREFIX
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.fields import Name, parse_duration
from skerry_operator.cli import cluster
from skerry_operator.cli.output import STDOUT, write_secret
from skerry_operator.kube.resources import EDGE_SITES, SECRETS

_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH, _SECRET_LENGTH = 6, 16
_TOKEN_NAMESPACE = "kube-system"  # noqa: S105 - where Kubernetes looks for bootstrap tokens
_MAX_LABEL = 63
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=7)


class BootstrapToken(NamedTuple):
    """A Kubernetes bootstrap token: a public id and a secret, together good for asking for a certificate."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{self.id}.{self.secret}"


def enroll(
    site: Annotated[str, typer.Argument(help="Name of the site, as its EdgeSite is called.")],
    *,
    apply: Annotated[bool, typer.Option("--apply", help="Create the token at the hub.")] = False,
    secret: Annotated[
        str,
        typer.Option("--secret", metavar="FILE", help="Write the token's Secret, to be applied at the hub, instead."),
    ] = "",
    values: Annotated[
        str, typer.Option("--values", metavar="FILE|-", help="Where the site chart's values go; they hold the token.")
    ] = STDOUT,
    expires: Annotated[str, typer.Option(metavar="DURATION", help="How long the token is good for.")] = "1h",
    hub_url: Annotated[
        str, typer.Option(help="URL of the hub's API server as sites reach it. (default: as we do)")
    ] = "",
    hub_ca: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="PEM file of its authority. (default: the kubeconfig's)"),
    ] = None,
    context: cluster.Context = "",
) -> None:
    """Let a new site in: its bootstrap token and its chart's values.

    With the token the site asks the hub for a client certificate; it gets one if its EdgeSite says hubAcceptsClient.
    """
    if apply == bool(secret):
        raise typer.BadParameter("give one of --apply and --secret FILE")
    _check_site(site)
    lifetime = _lifetime(expires)
    hub = cluster.connect(context) if apply or not hub_url or hub_ca is None else None
    token = new_token()
    body = token_secret(site, token, datetime.now(UTC) + lifetime)
    if hub and apply:
        hub.api.create(SECRETS, body)
        _warn_unless_accepted(hub, site)
    else:
        write_secret(Path(secret), yaml.safe_dump(body, sort_keys=False).encode())
    chart = site_values(
        site,
        token,
        hub_url=hub_url or (hub.server if hub else ""),
        hub_ca=hub_ca.read_text() if hub_ca else (hub.ca_pem if hub else ""),
    )
    text = yaml.safe_dump(chart, sort_keys=False)
    if values == STDOUT:
        typer.echo(text, nl=False)
    else:
        write_secret(Path(values), text.encode())
    typer.echo(f"the token is good until {body['stringData']['expiration']}", err=True)


def new_token() -> BootstrapToken:
    """Draw a token from the system's randomness: 16 letters and digits of secret, 82 bits."""
    return BootstrapToken(_draw(_ID_LENGTH), _draw(_SECRET_LENGTH))


def token_secret(site: str, token: BootstrapToken, expires: datetime) -> dict[str, Any]:
    """The Secret that makes a token; its group names the one site that it may ask a certificate for."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"bootstrap-token-{token.id}", "namespace": _TOKEN_NAMESPACE},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "description": f"Enrolls the Skerry site {site}",
            "token-id": token.id,
            "token-secret": token.secret,
            "expiration": expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": f"system:bootstrappers:skerry:{site}",
        },
    }


def site_values(site: str, token: BootstrapToken, *, hub_url: str, hub_ca: str) -> dict[str, Any]:
    """Values of the chart skerry-site that let a site dial its hub; trust is pinned separately."""
    return {
        "site": {"name": site},
        "hub": {"url": hub_url, "ca": hub_ca},
        "bootstrap": {"token": str(token)},
    }


def _draw(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _check_site(site: str) -> None:
    try:
        TypeAdapter(Name).validate_python(site)
        TypeAdapter(Name).validate_python(SITE_NAMESPACE_PREFIX + site)
    except ValidationError:
        longest = _MAX_LABEL - len(SITE_NAMESPACE_PREFIX)
        raise typer.BadParameter(
            f"{site!r} can't be a site's name: lower-case letters, digits and dashes, at most {longest}"
        ) from None


def _lifetime(text: str) -> timedelta:
    try:
        lifetime = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not _SHORTEST <= lifetime <= _LONGEST:
        raise typer.BadParameter(f"--expires {text} must lie between 1m and 168h")
    return lifetime


def _warn_unless_accepted(hub: cluster.Cluster, site: str) -> None:
    found = hub.api.get(EDGE_SITES, site)
    if found is None or not EdgeSite.model_validate(found).spec.hub_accepts_client:
        typer.secho(
            f"warning: the site is let in once EdgeSite {site} is there with hubAcceptsClient: true",
            err=True,
            fg=typer.colors.YELLOW,
        )
