"""`skerry explain`: one prediction, down to the events behind it; or what sets a fleet's bad answers apart."""

import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer

from skerry_api.kinds import RUNTIME_NAMESPACE
from skerry_core.errors import UserMustActError, WaitError
from skerry_core.lineage.causes import judge_causes
from skerry_core.lineage.explanation import Explanation
from skerry_core.lineage.record import RecordId
from skerry_core.store.location import S3Access
from skerry_operator.cli import cluster
from skerry_operator.cli import store as store_options
from skerry_operator.cli.explanation_text import lines, verdict_lines
from skerry_operator.cli.lake import opened_lake
from skerry_operator.kube.resources import PODS
from skerry_operator.site.names import EVIDENCE_PORT, RUNTIME_LABELS

_SINCE = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[hd])")
_UNITS = {"h": "hours", "d": "days"}


def explain(
    prediction: Annotated[str, typer.Argument(metavar="[ID]", help="The `prediction_id` of an answer.")] = "",
    *,
    fleet: Annotated[
        str,
        typer.Option(metavar="[NAMESPACE/]MODEL", help="Instead: what sets this model's bad answers apart (--store)."),
    ] = "",
    since: Annotated[str, typer.Option(help="How far back --fleet looks, as 24h or 7d.")] = "7d",
    node: Annotated[
        bool, typer.Option("--node", help="Ask the node that answered, through its site's cluster (--context).")
    ] = False,
    volume: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Read a node's volume (/var/lib/skerry), with nothing running."
        ),
    ] = None,
    context: cluster.Context = "",
    store: Annotated[
        str,
        typer.Option(envvar="SKERRY_STORE", metavar="URI", help="Ask the hub's tables, in the store at this address."),
    ] = "",
    endpoint: store_options.Endpoint = "",
    region: store_options.Region = "us-east-1",
    ca_file: store_options.CaFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell how a prediction came about, down to its events.

    That is its model, its features with their ages, and the events in their windows.

    With --fleet, tell what a model's bad answers have in common: a release, a round of training, stale features, or a
    node that was damaged.
    Bad are answers that tripped a guardrail, on which two models disagree, that a label contradicts, or of a release
    that its node put aside.
    """
    if bool(prediction) == bool(fleet):
        raise typer.BadParameter("give either an ID or --fleet MODEL")
    if fleet:
        if not store:
            raise typer.BadParameter("--fleet asks the hub's tables: say --store")
        _explain_fleet(store, store_options.access(store, endpoint, region, ca_file), fleet, since, as_json=as_json)
        return
    wanted = RecordId.parse(prediction)
    if volume is not None:
        found = _from_volume(volume, prediction)
    elif node:
        found = _from_node(wanted, context)
    elif store:
        with opened_lake(store, store_options.access(store, endpoint, region, ca_file)) as (lake, query):
            # Arrow and DuckDB are an extra.
            from skerry_operator.ingest.lineage import LakeLineage  # noqa: PLC0415

            found = LakeLineage(lake, query).explain(prediction)
    else:
        raise typer.BadParameter("say where to look: --store, --node or --volume")
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        for line in lines(found):
            typer.echo(line)


def _explain_fleet(store: str, access: S3Access | None, model: str, since: str, *, as_json: bool) -> None:
    back = _SINCE.fullmatch(since)
    if back is None:
        raise typer.BadParameter(f"--since is a number of hours or days, as 24h or 7d, not {since!r}")
    span = timedelta(**{_UNITS[back["unit"]]: int(back["number"])})
    with opened_lake(store, access) as (lake, query):
        from skerry_operator.ingest.lineage import answer_cells  # noqa: PLC0415 - an extra

        verdict = judge_causes(answer_cells(lake, query, model, datetime.now(UTC) - span))
    if as_json:
        typer.echo(msgspec.json.encode(verdict).decode())
    else:
        for line in verdict_lines(verdict):
            typer.echo(line)


def _from_volume(volume: Path, prediction: str) -> Explanation:
    try:
        # The node's own code is an extra; hub and node don't import each other.
        offline = import_module("skerry_edge.lineage.offline")
    except ImportError as error:
        raise UserMustActError(
            "ExtraMissing", f"{error.name} is not installed, which reads a node's logs: pip install 'skerry[edge]'"
        ) from error
    found: Explanation = offline.explain_on_volume(volume, prediction)
    return found


def _from_node(wanted: RecordId, context: str) -> Explanation:
    site = cluster.connect(context)
    labels = ",".join(f"{name}={value}" for name, value in RUNTIME_LABELS.items())
    pods = site.api.list(PODS, RUNTIME_NAMESPACE, labels).items
    names = [pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName") == wanted.node]
    if not names:
        raise UserMustActError(
            "NodeNotFound",
            f"no runtime runs on a node {wanted.node!r} of this cluster, which has to be that of site {wanted.site} "
            "(--context says which); the hub's tables may have the prediction, too (--store)",
        )
    # A module of its own, since the client's generated API takes a while to import.
    from skerry_operator.kube.port_forward import get_from_pod  # noqa: PLC0415

    configuration, _ = cluster.configured(context)
    path = f"/v1/predictions/{quote(str(wanted))}"
    status, data = get_from_pod(configuration, RUNTIME_NAMESPACE, names[0], EVIDENCE_PORT, path)
    if status is HTTPStatus.OK:
        try:
            return msgspec.json.decode(data, type=Explanation)
        except msgspec.DecodeError as error:
            raise WaitError("NodeOfAnotherVersion", f"node {wanted.node} answers in other terms: {error}") from error
    why = data.decode(errors="replace").strip()
    if status is HTTPStatus.NOT_FOUND:
        raise UserMustActError("PredictionNotFound", why)
    raise WaitError("NodeRefused", f"node {wanted.node}: HTTP {status.value}: {why}")
