"""Conditions without an interpreter: fields compared with literals, joined by `&&`, `||` and `!`, over a whole batch.

That is what most filters are. The result is CEL's, row by row, with its three outcomes: true, false, and neither, which
is an error that `false && …` and `true || …` absorb. Numbers compare across int and double as the library does (as
doubles, but two integers exactly), other types are unequal and have no order, and null equals nothing here.

`parse` returns None for every other expression, and `Condition.truth` for a column of mixed types: those are CEL's.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skerry_core.features.columns import Mask

Truth: TypeAlias = tuple[Mask, Mask]
"""Rows for which a condition is true, and those for which it is false."""

_ORDERINGS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = {**_ORDERINGS, "==": operator.eq, "!=": operator.ne}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<float>-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][+-]?[0-9]+)?)(?![\w.])
    | (?P<int>-?(?:0|[1-9][0-9]*))(?![\w.])
    | '(?P<single>[^'"\\\n\r]*)' | "(?P<double>[^'"\\\n\r]*)"
    | (?P<name>[A-Za-z_]\w*)(?![\w.(\['"])
    | (?P<operator>==|!=|<=|>=|<|>|&&|\|\||!|\(|\))
    )""",
    re.VERBOSE | re.ASCII,
)
_WORDS = {"true": True, "false": False}
_INT64 = range(-(1 << 63), 1 << 63)
_NUMBERS = frozenset({int, float})
_DEEPEST = 32


@dataclass(frozen=True)
class Typed:
    """A field's column of one type: `values` is an array, of texts a list; rows outside `present` are null."""

    kind: type
    values: NDArray[Any] | Sequence[Any]
    present: Mask | None


Columns: TypeAlias = Callable[[str], Typed | None]


class Condition(Protocol):
    """A condition over fields."""

    def truth(self, columns: Columns, size: int) -> Truth | None:
        """Where it is true and false, of `size` rows; None if a column is of several types."""
        ...


def typed(values: Sequence[Any]) -> Typed | None:
    """A column as it is compared; None if its values are of several types, or not finite."""
    kinds = set(map(type, values))
    nulls = type(None) in kinds
    kinds.discard(type(None))
    if len(kinds) > 1:
        return None
    kind = kinds.pop() if kinds else type(None)
    present = np.array([value is not None for value in values], dtype=np.bool_) if nulls else None
    if kind not in {int, float, bool, str}:
        return Typed(kind, values, present)
    if nulls:
        values = [kind() if value is None else value for value in values]
    if kind is str:
        return Typed(kind, values, present)
    array: NDArray[Any] = np.array(values, dtype={int: np.int64, float: np.float64, bool: np.bool_}[kind])
    if kind is float and not np.isfinite(array).all():
        return None
    return Typed(kind, array, present)


@dataclass(frozen=True)
class _Comparison:
    field: str
    operator: str
    literal: Any

    def truth(self, columns: Columns, size: int) -> Truth | None:
        column = columns(self.field)
        if column is None:
            return None
        kind, literal = column.kind, self.literal
        ordering = self.operator in _ORDERINGS
        if kind is not type(literal) and not {kind, type(literal)} <= _NUMBERS:
            never = np.zeros(size, dtype=np.bool_)
            if ordering:
                return never, never
            return (never, ~never) if self.operator == "==" else (~never, never)
        holds = self._holds(column)
        if column.present is None:
            return holds, ~holds
        if ordering:
            return holds & column.present, ~holds & column.present
        holds = holds & column.present if self.operator == "==" else holds | ~column.present
        return holds, ~holds

    def _holds(self, column: Typed) -> Mask:
        compare, literal = _OPERATORS[self.operator], self.literal
        if column.kind is str:
            return np.array([compare(value, literal) for value in column.values], dtype=np.bool_)
        values = np.asarray(column.values)
        if column.kind is not type(literal):
            values, literal = values.astype(np.float64), float(literal)
        held: Mask = compare(values, literal)
        return held


@dataclass(frozen=True)
class _Field:
    """A field by itself: a boolean, or an error."""

    field: str

    def truth(self, columns: Columns, size: int) -> Truth | None:
        column = columns(self.field)
        if column is None:
            return None
        if column.kind is not bool:
            never = np.zeros(size, dtype=np.bool_)
            return never, never
        values = np.asarray(column.values)
        return (values, ~values) if column.present is None else (values & column.present, ~values & column.present)


@dataclass(frozen=True)
class _Not:
    inner: Condition

    def truth(self, columns: Columns, size: int) -> Truth | None:
        found = self.inner.truth(columns, size)
        return None if found is None else (found[1], found[0])


@dataclass(frozen=True)
class _Both:
    """`&&`, or with `either` `||`."""

    left: Condition
    right: Condition
    either: bool

    def truth(self, columns: Columns, size: int) -> Truth | None:
        left, right = self.left.truth(columns, size), self.right.truth(columns, size)
        if left is None or right is None:
            return None
        if self.either:
            return left[0] | right[0], left[1] & right[1]
        return left[0] & right[0], left[1] | right[1]


def parse(text: str) -> Condition | None:
    """The condition that a valid CEL expression is; None if it is more than that."""
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            return None
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    try:
        parser = _Parser(tokens)
        found = parser.join(0)
    except _OtherError:
        return None
    # A field by itself is its value, whatever that is.
    return None if parser.rest or isinstance(found, _Field) else found


class _OtherError(Exception):
    """It is more than a condition."""


class _Parser:
    """Recursive descent over tokens (kind, text)."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.rest = tokens[::-1]

    def join(self, depth: int) -> Condition:
        """Conditions joined by `||`, of those joined by `&&`."""
        found = self._all(depth)
        while self._take("||"):
            found = _Both(found, self._all(depth), either=True)
        return found

    def _all(self, depth: int) -> Condition:
        found = self._one(depth)
        while self._take("&&"):
            found = _Both(found, self._one(depth), either=False)
        return found

    def _one(self, depth: int) -> Condition:
        if depth > _DEEPEST:
            raise _OtherError
        if self._take("!"):
            # It binds closer than a comparison.
            inner = self._grouped(depth) if self._take("(") else self._field()
            return _Not(inner)
        if self._take("("):
            return self._grouped(depth)
        left = self._operand()
        if not self.rest or self.rest[-1][1] not in _OPERATORS or self.rest[-1][0] != "operator":
            return self._alone(left)
        sign = self.rest.pop()[1]
        right = self._operand()
        if isinstance(left, _Field) is isinstance(right, _Field):
            raise _OtherError
        if isinstance(left, _Field):
            return _Comparison(left.field, sign, right)
        return _Comparison(right.field, _MIRRORED[sign], left)

    def _grouped(self, depth: int) -> Condition:
        found = self.join(depth + 1)
        if not self._take(")"):
            raise _OtherError
        return found

    def _field(self) -> _Field:
        return self._alone(self._operand())

    def _alone(self, operand: Any) -> _Field:
        if not isinstance(operand, _Field):
            raise _OtherError
        return operand

    def _operand(self) -> Any:
        """A field, or the value of a literal."""
        kind, text = self.rest.pop() if self.rest else ("", "")
        match kind:
            case "float":
                return float(text)
            case "int" if int(text) in _INT64:
                return int(text)
            case "single" | "double":
                return text
            case "name" if text in _WORDS:
                return _WORDS[text]
            case "name" if text != "null":
                return _Field(text)
        raise _OtherError

    def _take(self, sign: str) -> bool:
        found = bool(self.rest) and self.rest[-1] == ("operator", sign)
        if found:
            self.rest.pop()
        return found
