"""`skerry status`: models, releases and what each site serves."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.edgesite import EdgeSite, ServedModel
from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_operator.cli import cluster
from skerry_operator.cli.cells import ago, phase_cell, rings_cell, short
from skerry_operator.hub.placement import is_removed
from skerry_operator.hub.rollout.ring_membership import ring_of, rings_of
from skerry_operator.kube.resources import EDGE_SITES, MODEL_RELEASES, MODELS, ROLLOUT_RINGS


@dataclass(frozen=True)
class SiteRow:
    """One site that runs a model, or is to give it up and hasn't: its ring, and what it last said about the model."""

    model: Model
    ring: str
    site: EdgeSite
    served: ServedModel | None


@dataclass(frozen=True)
class Fleet:
    """What is shown."""

    models: Sequence[Model]
    releases: Sequence[ModelRelease]
    sites: Sequence[SiteRow]


def status(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model.")] = "",
    *,
    namespace: cluster.Namespace = "",
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Models of all namespaces.")] = False,
    context: cluster.Context = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show models, releases and what each site serves."""
    hub = cluster.connect(context)
    space = None if everywhere else namespace or hub.namespace
    models = [each for each in hub.all(Model, MODELS, space) if model in {"", each.metadata.name}]
    fleet = gather(
        models,
        hub.all(ModelRelease, MODEL_RELEASES, space),
        hub.all(RolloutRing, ROLLOUT_RINGS),
        hub.all(EdgeSite, EDGE_SITES),
    )
    if as_json:
        typer.echo(json.dumps(to_wire(fleet)))
    elif not models:
        typer.echo(f"no models {'anywhere' if everywhere else f'in namespace {space}'}", err=True)
    else:
        _print(fleet, datetime.now(UTC))


def gather(
    models: Sequence[Model],
    releases: Sequence[ModelRelease],
    rings: Sequence[RolloutRing],
    sites: Sequence[EdgeSite],
) -> Fleet:
    """Put objects together: releases newest first under their models, sites in the order of the model's rings."""
    names = {(each.metadata.namespace, each.metadata.name) for each in models}
    return Fleet(
        models=sorted(models, key=lambda each: (each.metadata.namespace or "", each.metadata.name)),
        releases=sorted(
            (each for each in releases if (each.metadata.namespace, each.spec.model) in names),
            key=lambda each: each.metadata.creation_timestamp or datetime.min.replace(tzinfo=UTC),
            reverse=True,
        ),
        sites=[row for model in models for row in _rows(model, rings, sites)],
    )


def _rows(model: Model, rings: Sequence[RolloutRing], sites: Sequence[EdgeSite]) -> list[SiteRow]:
    ordered = rings_of(model.spec.rings, rings)
    place = {ring.metadata.name: index for index, ring in enumerate(ordered)}
    rows = [
        SiteRow(model, ring_of(site.metadata.labels, ordered) or "", site, _served(model, site))
        for site in sites
        if _concerns(model, site)
    ]
    return sorted(rows, key=lambda row: (place.get(row.ring, len(place)), row.site.metadata.name))


def _concerns(model: Model, site: EdgeSite) -> bool:
    if is_removed(model, site):
        return _served(model, site) is not None
    return model.spec.site_selector.matches(site.metadata.labels)


def _served(model: Model, site: EdgeSite) -> ServedModel | None:
    wanted = (model.metadata.namespace, model.metadata.name)
    return next((each for each in site.status.serving if (each.namespace, each.model) == wanted), None)


def to_wire(fleet: Fleet) -> dict[str, object]:
    """The same as JSON: the API's own objects, and one row for each model and site."""
    return {
        "models": [each.to_wire() for each in fleet.models],
        "releases": [each.to_wire() for each in fleet.releases],
        "sites": [
            {
                "namespace": row.model.metadata.namespace,
                "model": row.model.metadata.name,
                "ring": row.ring,
                "site": row.site.metadata.name,
                "lastSeen": row.site.status.last_seen and row.site.status.last_seen.isoformat(),
                "served": row.served and row.served.to_wire(),
            }
            for row in fleet.sites
        ],
    }


def _print(fleet: Fleet, now: datetime) -> None:
    console = Console(highlight=False)
    console.print(_models(fleet))
    if fleet.releases:
        console.print()
        console.print(_releases(fleet, now))
    if fleet.sites:
        console.print()
        console.print(_sites(fleet, now))


def _models(fleet: Fleet) -> Table:
    table = _table("NAMESPACE", "MODEL", "APPROVED", "DIGEST", "PREVIOUS", "READY")
    for model in fleet.models:
        approved, previous = model.status.approved, model.status.previous
        ready = next((each for each in model.status.conditions if each.type == "Ready"), None)
        table.add_row(
            model.metadata.namespace,
            model.metadata.name,
            approved.version if approved else "-",
            short(approved.digest if approved else None),
            previous.version if previous else "-",
            "-" if ready is None else "yes" if ready.status is ConditionStatus.TRUE else ready.reason,
        )
    return table


def _releases(fleet: Fleet, now: datetime) -> Table:
    table = _table("RELEASE", "VERSION", "DIGEST", "PHASE", "RINGS (succeeded/sites)", "REASON", "AGE")
    for release in fleet.releases:
        table.add_row(
            release.metadata.name,
            release.spec.version,
            short(release.spec.digest),
            phase_cell(release.status.phase),
            rings_cell(release.status),
            release.status.reason,
            ago(release.metadata.creation_timestamp, now),
        )
    return table


def _sites(fleet: Fleet, now: datetime) -> Table:
    table = _table("MODEL", "RING", "SITE", "SERVES", "DIGEST", "PHASE", "SEEN")
    for row in fleet.sites:
        served = row.served
        table.add_row(
            row.model.metadata.name,
            row.ring or "-",
            row.site.metadata.name,
            served.version if served and served.version else "-",
            short(served.digest if served else None),
            phase_cell(served.phase) if served else "-",
            ago(row.site.status.last_seen, now),
        )
    return table


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
