"""The CEL engine, loaded with the first expression.

Its package brings a command line along that takes 10 MiB: most nodes have no expression, and none runs that.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cel


def compiled(text: str) -> "cel.Program":
    """The program of an expression; ValueError, TypeError, RuntimeError or RecursionError if it is no CEL."""
    import cel  # noqa: PLC0415

    return cel.compile(text)


def context(values: dict[str, Any]) -> "cel.Context":
    """Variables, converted once for all programs that are run over them."""
    import cel  # noqa: PLC0415

    return cel.Context(values)
