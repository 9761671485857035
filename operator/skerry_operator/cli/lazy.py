"""Commands that are imported when they run, and whose errors end as one line that says what to do."""

import os
from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from typing import Any, ClassVar, NamedTuple, ParamSpec, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from skerry_core.errors import SkerryError

DEBUG = "SKERRY_DEBUG"

_P = ParamSpec("_P")
_R = TypeVar("_R")


class DeferredCommand(NamedTuple):
    """Where a command is (`module:attribute`, a function or a Typer app of subcommands), and its line of help."""

    target: str
    help: str


class LazyGroup(TyperGroup):
    """A group whose commands, listed in `deferred`, are loaded when one of them is called."""

    deferred: ClassVar[dict[str, DeferredCommand]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's interface
        """List them as written: in the order in which they are used."""
        return list(self.deferred)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's interface
        """Give a stand-in with the line of help, enough to list it."""
        command = self.deferred.get(cmd_name)
        return None if command is None else TyperCommand(cmd_name, help=command.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command to run, whole; an unknown one is refused as typer does."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name, self.deferred[name].target) if name in self.deferred else command, rest


@cache
def load(name: str, target: str) -> Any:
    """Import a command."""
    module, _, attribute = target.partition(":")
    found = getattr(import_module(module), attribute)
    app = found if isinstance(found, typer.Typer) else typer.Typer(add_completion=False)
    if app is not found:
        app.command(name)(found)
    for command in app.registered_commands:
        if command.callback:
            command.callback = reporting_errors(command.callback)
    loaded = typer.main.get_command(app)
    loaded.name = name
    return loaded


def reporting_errors(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let a command end with one line on stderr and exit code 1 instead of a traceback (`SKERRY_DEBUG=1` shows it)."""

    @wraps(command)
    def reporting(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get(DEBUG) == "1":
                raise
            typer.secho(f"error: {_told(error)}", err=True, fg=typer.colors.RED)
            raise typer.Exit(1) from error

    return reporting


def _told(error: Exception) -> str:
    if isinstance(error, SkerryError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"unexpected {type(error).__name__}: {error} ({DEBUG}=1 shows where; please report it)"
