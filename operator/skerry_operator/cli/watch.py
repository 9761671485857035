"""`skerry watch`: follow a release through its rings until it is decided."""

import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from skerry_api.v1alpha1.fields import parse_duration
from skerry_api.v1alpha1.modelrelease import ModelRelease, ReleasePhase
from skerry_core.errors import RetryError, UserMustActError, WaitError
from skerry_operator.cli import cluster
from skerry_operator.cli.cells import phase_cell, short
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.resources import MODEL_RELEASES

FINAL = {ReleasePhase.APPROVED, ReleasePhase.ROLLED_BACK, ReleasePhase.REFUSED, ReleasePhase.SUPERSEDED}
_WATCH_SECONDS = 60.0
_RETRY_SECONDS = 2.0


def watch(
    release: Annotated[str, typer.Argument(help="Name of the ModelRelease.")],
    *,
    namespace: cluster.Namespace = "",
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="Give up after, say, 30m. (default: never)")] = "",
    context: cluster.Context = "",
) -> None:
    """Follow a release through its rings until it is decided.

    Exit code 0 means approved; 1 rolled back, refused, superseded, or not decided in time.
    """
    hub = cluster.connect(context)
    space = namespace or hub.namespace
    deadline = time.monotonic() + _seconds(timeout) if timeout else float("inf")
    last = hub.one(ModelRelease, MODEL_RELEASES, release, space)
    with Live(view(last), console=Console(highlight=False), auto_refresh=False) as live:
        for last in follow(hub.api, release, space, deadline):
            live.update(view(last), refresh=True)
    if last.status.phase not in FINAL:
        raise WaitError("Timeout", f"{release} is {last.status.phase} after {timeout}: not decided yet")
    raise typer.Exit(0 if last.status.phase is ReleasePhase.APPROVED else 1)


def follow(api: KubeApi, name: str, namespace: str, deadline: float) -> Iterator[ModelRelease]:
    """Yield the release whenever it changes, up to its decision or the deadline (of the monotonic clock).

    Outlives an API server's restarts. Raises UserMustActError `NotFound` when the release is deleted.
    """
    seen = ""
    while True:
        try:
            body = api.get(MODEL_RELEASES, name, namespace)
            while body is not None:
                if body["metadata"]["resourceVersion"] != seen:
                    seen = body["metadata"]["resourceVersion"]
                    release = ModelRelease.model_validate(body)
                    yield release
                    if release.status.phase in FINAL:
                        return
                body = _next_change(api, name, namespace, seen, deadline)
                if time.monotonic() >= deadline:
                    return
        except (WaitError, RetryError):
            if time.monotonic() >= deadline:
                return
            time.sleep(min(_RETRY_SECONDS, max(deadline - time.monotonic(), 0)))
            continue
        raise UserMustActError("NotFound", f"there is no ModelRelease {name!r} in namespace {namespace}")


def _next_change(api: KubeApi, name: str, namespace: str, since: str, deadline: float) -> dict[str, object] | None:
    """The object after its next change, read anew when the watch ends without one; None when it is deleted."""
    seconds = min(_WATCH_SECONDS, max(deadline - time.monotonic(), 1.0))
    for event in api.watch(MODEL_RELEASES, since=since, namespace=namespace, name=name, timeout=seconds):
        if event.type == "DELETED":
            return None
        if event.type != "BOOKMARK":
            return event.object
    return api.get(MODEL_RELEASES, name, namespace)


def view(release: ModelRelease) -> Group:
    """A line on the release, its rings as a table, and why it came back if it did."""
    spec, status = release.spec, release.status
    parts: list[Text | Table] = [
        Text.assemble(f"{spec.model} {spec.version}  {short(spec.digest)}  ", phase_cell(status.phase))
    ]
    if status.rings:
        table = Table("RING", "SITES", "ASSIGNED", "PROGRESSING", "SUCCEEDED", "FAILED", "UNREACHABLE", box=None)
        for ring in status.rings:
            counts = (ring.sites, ring.assigned, ring.progressing, ring.succeeded, ring.failed, ring.unreachable)
            table.add_row(f"> {ring.name}" if ring.name == status.ring else f"  {ring.name}", *map(str, counts))
        parts.append(table)
    if status.failed_metric is not None:
        parts.append(Text(why(release), style="red"))
    parts += [
        Text(f"{condition.type}: {condition.message}", style="yellow")
        for condition in status.conditions
        if condition.type == "Stalled" and condition.status == "True"
    ]
    return Group(*parts)


def why(release: ModelRelease) -> str:
    """One line on the metric that failed: what was seen, what was allowed, where."""
    metric = release.status.failed_metric
    if metric is None:
        return release.status.reason
    seen = f" {metric.observed:.4g}" if metric.observed is not None else ""
    limit = f" (allowed {metric.limit:.4g})" if metric.limit is not None else ""
    where = f" at {metric.site}" if metric.site else ""
    return f"{metric.name}{seen}{limit}{where}{f': {metric.message}' if metric.message else ''}"


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
