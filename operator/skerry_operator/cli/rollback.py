"""`skerry rollback`: take the release that goes out, or is approved, back."""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from skerry_api.v1alpha1.fields import API_VERSION
from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.modelrelease import FailedMetric, ModelRelease, ReleasePhase
from skerry_api.v1alpha1.quarantine import QuarantineScope, QuarantineSpec
from skerry_core import digest as digests
from skerry_core.errors import UserMustActError
from skerry_operator.cli import cluster
from skerry_operator.cli.cells import short
from skerry_operator.kube.api import JsonObject
from skerry_operator.kube.errors import ConflictError
from skerry_operator.kube.resources import MODEL_RELEASES, MODELS, QUARANTINES

REASON = "Manual"
_UNDER_WAY = {ReleasePhase.PROGRESSING, ReleasePhase.PAUSED, ReleasePhase.PENDING}


@dataclass(frozen=True)
class TakenBack:
    """One release that may not run any more."""

    release: str
    version: str
    digest: str


@dataclass(frozen=True)
class Plan:
    """The releases to quarantine, and the version that sites swap back to."""

    taken_back: tuple[TakenBack, ...]
    back_to: str


def rollback(
    model: Annotated[str, typer.Argument(help="Name of the Model.")],
    *,
    to: Annotated[str, typer.Option(metavar="VERSION", help="Go back to this version. (default: the one before)")] = "",
    why: Annotated[str, typer.Option("--message", "-m", help="Why, for those who read the quarantine.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    namespace: cluster.Namespace = "",
    context: cluster.Context = "",
) -> None:
    """Take the release that goes out, or is approved, back.

    Its digest is quarantined everywhere, by an object of its own: GitOps doesn't fight it, a reapplied release doesn't
    undo it. Sites swap back at once, those that are away when they return.
    """
    hub = cluster.connect(context)
    space = namespace or hub.namespace
    decided = plan(
        hub.one(Model, MODELS, model, space),
        [each for each in hub.all(ModelRelease, MODEL_RELEASES, space) if each.spec.model == model],
        to,
    )
    for each in decided.taken_back:
        typer.echo(f"{model} {each.version} ({short(each.digest)}) will be quarantined at every site", err=True)
    typer.echo(f"sites swap back to {decided.back_to}", err=True)
    if not yes:
        typer.confirm("Go on?", abort=True, err=True)
    now = datetime.now(UTC)
    for each in decided.taken_back:
        body = quarantine_of(each, namespace=space, model=model, message=why or f"by {_user()}", now=now)
        try:
            hub.api.create(QUARANTINES, body)
        except ConflictError:
            typer.echo(f"{each.version} is quarantined already", err=True)
        typer.echo(f"quarantine/{body['metadata']['name']}")


def plan(model: Model, releases: Sequence[ModelRelease], to: str = "") -> Plan:
    """Decide what to quarantine so that sites go back to `to`, or one step back; UserMustActError `NothingToRollBack`.

    The way back is what the Model's status keeps: the approved release while another goes out, else the previous one.
    """
    approved, previous = model.status.approved, model.status.previous
    kept = [each.version for each in (approved, previous) if each]
    going = tuple(
        TakenBack(each.metadata.name, each.spec.version, each.spec.digest)
        for each in releases
        if each.status.phase in _UNDER_WAY and each.spec.version not in kept
    )
    if approved and going and to in {"", approved.version}:
        return Plan(going, approved.version)
    if approved and previous and to in {"", previous.version}:
        return Plan((*going, TakenBack(approved.release, approved.version, approved.digest)), previous.version)
    if to:
        raise _nothing(f"there is no way back to {to}: kept are {', '.join(kept) or 'none'}")
    raise _nothing(f"no earlier release of {model.metadata.name} is kept to go back to")


def quarantine_of(taken: TakenBack, *, namespace: str, model: str, message: str, now: datetime) -> JsonObject:
    """The Quarantine, of scope release, that keeps a digest from every site."""
    spec = QuarantineSpec(
        digest=taken.digest,
        namespace=namespace,
        model=model,
        release=taken.release,
        scope=QuarantineScope.RELEASE,
        since=now,
        reason=FailedMetric(name=REASON, message=message),
    )
    return {
        "apiVersion": API_VERSION,
        "kind": "Quarantine",
        # Not the hub's name for it: that one's spec is the hub's alone to write.
        "metadata": {"name": f"manual-{digests.hex_of(taken.digest)[:32]}"},
        "spec": spec.to_wire(),
    }


def _nothing(message: str) -> UserMustActError:
    return UserMustActError("NothingToRollBack", message)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "hand"
