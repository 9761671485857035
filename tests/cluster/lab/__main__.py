"""Command line of the lab."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from .errors import LabError, RequirementMissingError
from .images import ImageBuilder, product_images
from .lab import Lab
from .layout import DEFAULT_CLUSTERS
from .report import report, table

if TYPE_CHECKING:
    from collections.abc import Callable

_REPOSITORY = Path(__file__).resolve().parents[3]
EXIT_FAILED = 1
EXIT_MISSING = 3

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


def _progress() -> Callable[[str], None]:
    start = time.monotonic()

    def say(line: str) -> None:
        typer.echo(f"[{time.monotonic() - start:6.1f} s] {line}")

    return say


@app.command()
def up(clusters: Annotated[str, typer.Option(help="Which ones, by comma.")] = ",".join(DEFAULT_CLUSTERS)) -> None:
    """Bring the clusters and the store up; builds and installs what is missing first. Does nothing if all is well."""
    Lab.from_environment().up(clusters.split(","), _progress())


@app.command()
def down() -> None:
    """Remove every trace of the lab, in whatever state it is, except the build cache."""
    Lab.from_environment().down(_progress())


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show clusters, links, processes and whether they are ready."""
    facts = report(Lab.from_environment())
    if as_json:
        typer.echo(json.dumps(facts, indent=1))
    else:
        Console().print(table(facts))


@app.command()
def images(
    *,
    load: Annotated[bool, typer.Option(help="Import them into every cluster that is up.")] = False,
    export: Annotated[Path | None, typer.Option(help="Copy the archives here, for an air-gapped K3s.")] = None,
) -> None:
    """Build the product's images (images/*.Dockerfile) and print their docker archives."""
    say = _progress()
    lab = Lab.from_environment()
    for tag, archive in product_images(ImageBuilder(lab.layout.cache, say), _REPOSITORY).items():
        if load:
            for cluster in lab.clusters.values():
                fresh = cluster.import_images(archive)
                say(f"{tag}: {'imported into' if fresh else 'already in'} {cluster.name}")
        if export:
            export.mkdir(parents=True, exist_ok=True)
            shutil.copy2(archive, export / f"{tag.replace(':', '_')}.tar")
        typer.echo(f"{tag} {archive}")


@app.command()
def env(name: str) -> None:
    """Print the line that points kubectl at one cluster: eval "$(python -m tests.cluster.lab env site-a)"."""
    lab = Lab.from_environment()
    if name not in lab.clusters:
        raise LabError(f"{name} is not up; there is: {', '.join(lab.clusters) or 'nothing'}")
    typer.echo(f"export KUBECONFIG={lab.clusters[name].kubeconfig}")


def main() -> int:
    """Run; a failure is one line on stderr, exit code 1, or 3 where this machine lacks something."""
    try:
        app(standalone_mode=False)
    except RequirementMissingError as error:
        typer.echo(str(error), err=True)
        return EXIT_MISSING
    except LabError as error:
        typer.echo(f"lab: {error}", err=True)
        return EXIT_FAILED
    except typer.Exit as request:
        return request.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
