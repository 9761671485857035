"""`skerry features build`: training rows, as nodes would have served them."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skerry_api.v1alpha1.fields import format_duration, parse_duration
from skerry_core.errors import UserMustActError
from skerry_core.labels.standing import MAX_AGE, Terms
from skerry_operator.cli import store as store_options
from skerry_operator.cli.feature_set_file import read_version

if TYPE_CHECKING:
    from skerry_operator.training.replay import Vectors
    from skerry_operator.training.work import Share


def build(
    *,
    features: Annotated[
        Path,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="A FeatureSet's YAML, or a version's document."),
    ],
    history: Annotated[
        str,
        typer.Option(
            envvar="SKERRY_STORE",
            metavar="URI|PATH",
            help="The hub's store (s3://BUCKET/PREFIX, file:///FOLDER), or Parquet with its tables' columns.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", dir_okay=False, help="The Parquet file to write.")],
    rows: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Entity rows, Parquet or CSV: a column for each entity, event_timestamp, and whatever else (labels).",
        ),
    ] = None,
    predictions: Annotated[
        str, typer.Option(metavar="NAMESPACE/MODEL", help="Instead of rows: every logged prediction of a model.")
    ] = "",
    select: Annotated[
        list[str] | None, typer.Option(metavar="FEATURE", help="A feature to build, in this order; all unless given.")
    ] = None,
    full_feature_names: Annotated[bool, typer.Option(help="Call columns SET__FEATURE.")] = False,
    consent: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="A data class that a subject must have granted; may be given repeatedly."),
    ] = None,
    no_consent_needed: Annotated[
        bool, typer.Option("--no-consent-needed", help="These events are about nobody who would have to consent.")
    ] = False,
    consents: Annotated[
        Path | None,
        typer.Option(exists=True, metavar="PATH", help="Records of consent, where the history is Parquet files."),
    ] = None,
    min_authority: Annotated[
        int, typer.Option(min=0, max=9, help="Least authority of a label, as the Model's `analysis.labels` has it.")
    ] = 0,
    max_label_age: Annotated[
        str, typer.Option(metavar="DURATION", help="How late a label may come, as the Model's `maxAge` has it.")
    ] = format_duration(MAX_AGE),
    dask: Annotated[str, typer.Option(metavar="tcp://HOST:PORT", help="A Dask scheduler whose workers do it.")] = "",
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Namespace of a FeatureSet that names none.")
    ] = "",
    endpoint: store_options.Endpoint = "",
    region: store_options.Region = "us-east-1",
    ca_file: store_options.CaFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Build training rows that equal what was served, with the engine that serves.

    A row's features are as its node had them at `event_timestamp`: made of the events that it had received by then.
    Rows have the columns `site` and `node` if the history has more nodes than one. Who hasn't consented is in no row.
    """
    if (rows is None) == (not predictions):
        raise typer.BadParameter("give either --rows or --predictions")
    if bool(consent) == no_consent_needed:
        raise typer.BadParameter("say which data classes must be granted (--consent CLASS), or --no-consent-needed")
    try:
        terms = Terms(max_age=parse_duration(max_label_age), min_authority=min_authority)
    except ValueError as error:
        raise typer.BadParameter(f"--max-label-age: {error}") from None
    document = read_version(features, namespace)
    try:
        # Arrow, DuckDB and Dask are extras: large, and nothing else here needs them.
        from skerry_operator.ingest.lake import Lake  # noqa: PLC0415
        from skerry_operator.training.build import Order  # noqa: PLC0415
        from skerry_operator.training.build import build as made  # noqa: PLC0415
        from skerry_operator.training.history import Tables  # noqa: PLC0415
    except ImportError as error:
        raise _extra("ingest", error) from error
    if "://" in history:
        if consents is not None:
            raise typer.BadParameter("--consents is for Parquet files: the hub's store has its own records of consent")
        tables = Tables.of_lake(Lake(history, store_options.access(history, endpoint, region, ca_file)))
    else:
        paths = {document.stream: Path(history)} | ({} if consents is None else {"consent": consents})
        tables = Tables.of_files(paths)
    order = Order(
        document=document,
        tables=tables,
        output=output,
        rows=rows,
        predictions=predictions,
        select=tuple(select or ()),
        full_names=full_feature_names,
        consent=frozenset(consent) if consent else None,
        terms=terms,
    )
    begun = time.monotonic()
    with _workers(dask) as (do, at_once):
        told = made(order, do, at_once)
    told["seconds"] = round(time.monotonic() - begun, 3)
    typer.echo(json.dumps(told) if as_json else _sentences(told))


def _here(work: Sequence["Share"]) -> Iterator["Vectors"]:
    from skerry_operator.training.work import work as done  # noqa: PLC0415 - an extra

    for number, share in enumerate(work, start=1):
        if len(work) > 1:
            typer.echo(f"part {number} of {len(work)}: {len(share.rows)} rows", err=True)
        yield done(share)


@contextmanager
def _workers(scheduler: str) -> Iterator[tuple[Any, int]]:
    """What does shares, and how many at once."""
    if not scheduler:
        yield _here, 1
        return
    try:
        from skerry_operator.training.distributed import DaskShares  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise _extra("ingest,distributed", error) from error
    with closing(DaskShares(scheduler)) as workers:
        yield workers, workers.at_once


def _extra(extra: str, error: ImportError) -> UserMustActError:
    return UserMustActError("ExtraMissing", f"{error.name} is not installed: pip install 'skerry[{extra}]'")


def _sentences(told: dict[str, Any]) -> str:
    named = "{namespace}/{name} {version}".format(**told["featureSet"])
    lines = [f"{told['output']}: {told['rows']} rows of {named} ({told['featureSet']['digest']})"]
    lines += [f"left out: {count} rows, {why}" for why, count in told["rowsLeftOut"].items() if count]
    if told["rowsAfterHistory"]:
        lines.append(f"{told['rowsAfterHistory']} rows are later than their node's newest event in the history")
    events = told["events"]
    lines.append(
        f"{events['read']} events; {events['late']} came too late, {events['refused']} were refused, "
        f"{events['noConsent']} were without consent"
    )
    if told["eventsNotInHistory"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in told["eventsNotInHistory"].items())
        lines.append(f"nodes had events that never left them, so rows may differ from what was served: {reasons}")
    return "\n".join(lines)
