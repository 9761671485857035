"""`skerry`, and by its other name the plugin `kubectl skerry`."""

import os
from importlib.metadata import version
from typing import Annotated

import typer

from skerry_operator.cli.lazy import DeferredCommand, LazyGroup

# ONNX Runtime, which `package` runs models with, reports its use over the network unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_CLI = "skerry_operator.cli"
# What `skerry --help` shows; a command's module is imported when that command runs, so help costs no imports.
COMMANDS = {
    "package": DeferredCommand(f"{_CLI}.package:package", "Make a bundle out of an ONNX model."),
    "sign": DeferredCommand(f"{_CLI}.sign:sign", "Sign a bundle with a Sigstore identity."),
    "push": DeferredCommand(f"{_CLI}.push:push", "Publish a signed bundle in a store."),
    "features": DeferredCommand(f"{_CLI}.features:app", "Check feature sets, and build training rows of them."),
    "keys": DeferredCommand(f"{_CLI}.keys:app", "Make the keys that sign assignments and trust policies."),
    "trust": DeferredCommand(f"{_CLI}.trust:app", "Sign and read trust policies."),
    "enroll": DeferredCommand(
        f"{_CLI}.enroll:enroll", "Let a new site in: its bootstrap token and its chart's values."
    ),
    "status": DeferredCommand(f"{_CLI}.status:status", "Show models, releases and what each site serves."),
    "watch": DeferredCommand(f"{_CLI}.watch:watch", "Follow a release through its rings until it is decided."),
    "rollback": DeferredCommand(f"{_CLI}.rollback:rollback", "Take the release that goes out, or is approved, back."),
    "query": DeferredCommand(f"{_CLI}.query:query", "Ask the hub's tables of events and predictions in SQL."),
    "explain": DeferredCommand(f"{_CLI}.explain:explain", "Tell how a prediction came about, down to its events."),
    "crds": DeferredCommand(f"{_CLI}.crds:crds", "Write the CustomResourceDefinitions, one YAML file a kind."),
}


class SkerryGroup(LazyGroup):
    deferred = COMMANDS


app = typer.Typer(
    name="skerry",
    cls=SkerryGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Signed ONNX models, ring by ring, to sites that keep inferring offline.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - called by typer
    if wanted:
        typer.echo(version("skerry"))
        raise typer.Exit


@app.callback()
def skerry(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Signed ONNX models, ring by ring, to sites that keep inferring offline."""
