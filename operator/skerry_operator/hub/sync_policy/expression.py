"""Checks an alert's CEL expression before it goes out: that it compiles, knows its names, and can't run for long. Pure.

At a node, an expression that failed would be an alert that never comes. What runs there is the same library.
"""

import re

import cel

from skerry_core.errors import UserMustActError
from skerry_core.features.expressions import FUNCTIONS

# Of functions, has() and the loops are macros, and gone once an expression is compiled.
VARIABLES = frozenset({"event", "stream"})
_NAME = re.compile(r"[A-Za-z_]\w*")
# Comments and literals, whichever begins first: what looks like code inside them isn't.
_OPAQUE = re.compile(
    r"""//[^\n]*|[rR][bB]?(?:'''.*?'''|\"\"\".*?\"\"\"|'[^']*'|"[^"]*")"""
    r"""|'''(?:\\.|.)*?'''|\"\"\"(?:\\.|.)*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""",
    re.DOTALL,
)
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(?P<variable>[A-Za-z_]\w*)\s*,")


def check_expression(text: str, where: str) -> None:
    """Raise UserMustActError `ExpressionInvalid` for what nodes could not, or should not, evaluate."""
    try:
        used = cel.compile(text).references()
    except ValueError as error:
        raise _invalid(where, str(error)) from error
    code = _OPAQUE.sub("''", text)
    loops = list(_LOOP.finditer(code))
    if unknown := set(used["variables"]) - VARIABLES - {loop["variable"] for loop in loops}:
        raise _invalid(where, f"{_list(unknown)} is not known; use {_list(VARIABLES)}")
    functions = {name for name in used["functions"] if _NAME.fullmatch(name)}
    if unknown := functions - FUNCTIONS:
        raise _invalid(where, f"there is no function {_list(unknown)}; there are {_list(FUNCTIONS)}")
    if not VARIABLES & set(used["variables"]):
        raise _invalid(where, "it looks at neither event nor stream, so it is the same for all")
    if any(_within(code, loop.end(), other.start()) for loop in loops for other in loops):
        raise _invalid(where, "a loop within a loop can take minutes on one event: use one after the other")


def _within(code: str, start: int, at: int) -> bool:
    """Tell whether `at` is inside the parenthesis that is open at `start`."""
    between = code[start:at]
    depth = 0
    for character in between:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return False
    return at >= start


def _list(names: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _invalid(where: str, problem: str) -> UserMustActError:
    return UserMustActError("ExpressionInvalid", f"{where}: {problem}")
