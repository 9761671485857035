"""`skerry trust`: sign and read trust policies."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from skerry_api.v1alpha1.fields import API_VERSION
from skerry_core.errors import UserMustActError
from skerry_core.trust.policy import PolicyDocument
from skerry_core.trust.policy_envelope import open_policy, seal_policy
from skerry_operator.cli.unknown_fields import unknown_fields

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def trust() -> None:
    """Sign and read trust policies."""


@app.command()
def sign(
    policy: Annotated[Path, typer.Argument(metavar="POLICY.yaml", exists=True, dir_okay=False)],
    *,
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The private policy key.")],
    name: Annotated[str, typer.Option(help="Name of the TrustPolicy.")] = "default",
) -> None:
    """Sign a policy document; print the TrustPolicy to apply.

    The document's serial must be larger than the last one's: an older policy is refused wherever a newer was seen.
    """
    document = read_policy(policy.read_text(encoding="utf-8"), now=datetime.now(UTC))
    trust_policy = {
        "apiVersion": API_VERSION,
        "kind": "TrustPolicy",
        "metadata": {"name": name},
        "spec": {"envelope": seal_policy(document, key.read_bytes())},
    }
    typer.echo(yaml.safe_dump(trust_policy, sort_keys=False), nl=False)


@app.command()
def show(
    trust_policy: Annotated[Path, typer.Argument(metavar="TRUSTPOLICY.yaml", exists=True, dir_okay=False)],
    *,
    key: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="The public policy key.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of YAML.")] = False,
) -> None:
    """Verify a TrustPolicy and print what it says."""
    wire = _yaml(trust_policy.read_text(encoding="utf-8"), str(trust_policy))
    envelope = (wire.get("spec") or {}).get("envelope")
    if not isinstance(envelope, str):
        raise UserMustActError("PolicyInvalid", f"{trust_policy} has no spec.envelope: it is no TrustPolicy")
    document = open_policy(envelope, key.read_bytes(), last_serial=None).to_wire()
    typer.echo(json.dumps(document) if as_json else yaml.safe_dump(document, sort_keys=False), nl=as_json)


def read_policy(text: str, *, now: datetime) -> PolicyDocument:
    """Read a policy document's YAML; `issuedAt` is now unless given. Raises UserMustActError `PolicyInvalid`.

    Unknown fields, which readers ignore, are refused here: who signs one meant something by it.
    """
    wire = _yaml(text, "the policy")
    wire.setdefault("issuedAt", now)
    try:
        document = PolicyDocument.model_validate(wire)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UserMustActError("PolicyInvalid", f"the policy can't be signed: {told}") from error
    unknown = list(unknown_fields(wire, document.to_wire()))
    if unknown:
        raise UserMustActError("PolicyInvalid", f"the policy has unknown fields: {', '.join(unknown)}")
    return document


def _yaml(text: str, what: str) -> dict[str, Any]:
    try:
        wire = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserMustActError("PolicyInvalid", f"{what} is no YAML: {error}") from error
    if not isinstance(wire, dict):
        raise UserMustActError("PolicyInvalid", f"{what} is no YAML mapping")
    return wire
