"""`skerry query`: SQL over the lake, and the ready views that most questions need."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from skerry_operator.cli import store as store_options
from skerry_operator.cli.lake import opened_lake

if TYPE_CHECKING:
    import pyarrow as pa

# A terminal's worth; --json and --csv have everything.
_SHOWN_ROWS = 200

Row = dict[str, Any]


def query(
    sql: Annotated[str, typer.Argument(metavar="[SQL]", help="A SELECT over streams' tables and ready views.")] = "",
    *,
    list_views: Annotated[bool, typer.Option("--list", help="List the ready views and the streams' tables.")] = False,
    store: Annotated[
        str,
        typer.Option(
            envvar="SKERRY_STORE", metavar="URI", help="The store: s3://BUCKET, s3://BUCKET/PREFIX or file:///FOLDER."
        ),
    ],
    endpoint: store_options.Endpoint = "",
    region: store_options.Region = "us-east-1",
    ca_file: store_options.CaFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Ask the hub's tables of events and predictions in SQL.

    A stream's table has its name, with `_` for `-`: `SELECT site, avg(latency) FROM predictions GROUP BY site`. Tables
    are read in place, and nothing is written. S3 credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    (and AWS_SESSION_TOKEN).
    """
    if bool(sql) == list_views:
        raise typer.BadParameter("give either a query or --list")
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    access = store_options.access(store, endpoint, region, ca_file)
    with opened_lake(store, access) as (_, lake):
        if list_views:
            views = [{"name": view.name, "what": view.question} for view in lake.views]
            tables = [{"name": name, "what": "Every event of this stream, all its columns."} for name in lake.streams]
            _write(["name", "what"], iter([*views, *tables]), as_json=as_json, as_csv=as_csv)
        else:
            reader = lake.run(sql)
            _write(reader.schema.names, _rows(reader), as_json=as_json, as_csv=as_csv)


def _rows(reader: "pa.RecordBatchReader") -> Iterator[Row]:
    for batch in reader:
        yield from batch.to_pylist()


def _write(columns: list[str], rows: Iterator[Row], *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, default=_plain, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value, empty="") for value in row.values()] for row in rows)
    else:
        _print(columns, rows)


def _print(columns: list[str], rows: Iterable[Row]) -> None:
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    more = False
    for number, row in enumerate(rows):
        if number == _SHOWN_ROWS:
            more = True
            break
        table.add_row(*(_cell(value, empty="-") for value in row.values()))
    # A pipe has no width: nothing is cut off there.
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 100_000)
    console.print(table)
    if more:
        typer.echo("… and more: --json or --csv has them all, or put LIMIT into the query", err=True)


def _cell(value: object, empty: str) -> str:
    if value is None:
        return empty
    if isinstance(value, float):
        return f"{value:.6g}" if empty == "-" else repr(value)
    return value if isinstance(value, str) else str(_plain(value))


def _plain(value: object) -> object:
    """What JSON has no word for, as text."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | dict):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return value if isinstance(value, bool | int) else str(value)
