"""CEL over the fields of one event: the value and the filter of a feature.

A field's plain name never comes here. A condition on fields and literals is decided for a whole batch without CEL (see
`conditions`); any other expression costs 3 to 5 microseconds an event. Null (a field that isn't there), an error and a
value of another type than is wanted all mean that the event doesn't count in that column.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skerry_core.cel_engine import compiled
from skerry_core.errors import UserMustActError
from skerry_core.features.conditions import Condition, parse

if TYPE_CHECKING:
    import cel

MAX_LENGTH = 1024
FUNCTIONS = frozenset(
    {
        *("bytes", "double", "duration", "dyn", "int", "string", "timestamp", "uint"),
        *("size", "contains", "startsWith", "endsWith", "matches"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
"""What the library knows without its extensions, and what gives the same on every node and every day."""
_NAME = re.compile(r"[A-Za-z_]\w*")
RESERVED = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let"),
        *("loop", "namespace", "null", "package", "return", "true", "var", "void", "while"),
    }
)
"""Words of CEL, which can't be fields: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax."""
# Each of these would run as often as a vector is long, and nested ones for minutes.
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")


@dataclass(frozen=True)
class Expression:
    """A compiled expression and the fields that it looks at; as a `condition`, if it is one."""

    text: str
    fields: tuple[str, ...]
    program: "cel.Program"
    condition: Condition | None = None

    @classmethod
    def compile(cls, text: str, fields: frozenset[str], feature: str) -> "Expression":
        """Compile; UserMustActError ExpressionInvalid for what is no CEL, loops, or knows no such field."""
        if len(text) > MAX_LENGTH:
            raise _invalid(feature, f"it is longer than {MAX_LENGTH} characters")
        if _LOOP.search(text):
            raise _invalid(feature, "loops over a value are not allowed")
        try:
            program = compiled(text)
            references = program.references()
        except (ValueError, TypeError, RuntimeError, RecursionError) as error:
            raise _invalid(feature, str(error)[:300]) from error
        used = set(references["variables"])
        functions = {name for name in references["functions"] if _NAME.fullmatch(name)}
        if unknown := functions - FUNCTIONS:
            raise _invalid(feature, f"there is no function {', '.join(sorted(unknown))}")
        if unknown := used - fields:
            raise _invalid(feature, f"{', '.join(sorted(unknown))} is no field; there are {', '.join(sorted(fields))}")
        if not used:
            raise _invalid(feature, "it looks at no field, so it is the same for all events")
        return cls(text, tuple(sorted(used)), program, parse(text))

    def evaluate(self, values: dict[str, Any]) -> Any:
        """The value for one event, None if there is none."""
        try:
            return self.program.execute(values)
        except Exception:  # noqa: BLE001 - of whatever kind: that event doesn't count here
            return None
        except BaseException as error:
            # The evaluator is native code: its panics must not end the thread, and aren't Exceptions.
            if type(error).__name__ != "PanicException":
                raise
            return None


def _invalid(feature: str, problem: str) -> UserMustActError:
    return UserMustActError("ExpressionInvalid", f"feature {feature}: {problem}")
