"""An alert's condition: CEL over one record, evaluated within bounds.

The evaluation runs to its end and holds the interpreter meanwhile, so what it may cost is bounded beforehand: by how
deep loops are nested in the expression, and by how many values the record has for them to go over. What is refused for
that is an error like any other, of the expression when it is compiled or of one record.
"""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from skerry_core.cel_engine import compiled, context
from skerry_core.errors import UserMustActError
from skerry_core.sync_policy.document import AlertPolicy

if TYPE_CHECKING:
    import cel

MAX_LENGTH = 1024
MAX_NESTING = 3
# Each can double a text or list that loops then go over again.
MAX_SUMS = 8
# Steps of loops, of about half a microsecond.
MAX_STEPS = 100_000

_COMMENT = r"//[^\n]*"
_RAW = r"""[bB]?[rR][bB]?(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n]*"|'[^'\n]*')"""
_TEXT = (
    r"""[bB]?(?:\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
)
_LITERAL = re.compile(f"{_COMMENT}|{_RAW}|{_TEXT}")
# A method is taken for a loop unless it is one of these; `in` goes over a list, too.
_TOKEN = re.compile(r"\.\s*(?P<method>\w+)\s*\(|(?P<open>\()|(?P<close>\))|(?P<sum>\+)|\b(?P<within>in)\b")
_PLAIN = frozenset({"size", "contains", "startsWith", "endsWith", "matches"})
# Of the time of the record's text: per step of a loop they may go over all of it.
_LINEAR = re.compile(r"\b(?:in|size|contains|startsWith|endsWith|matches)\b")
_LINE = 1024

_decode = msgspec.json.Decoder(dict[str, object]).decode


class UndecidedError(Exception):
    """Whether a record matches can't be told; `str()` says why, in words that repeat nothing of the record."""


@dataclass(frozen=True)
class Predicate:
    """One alert's compiled condition. `nesting` is how deep its loops are nested."""

    policy: AlertPolicy
    program: "cel.Program"
    nesting: int
    linear: bool

    @classmethod
    def compile(cls, policy: AlertPolicy) -> "Predicate":
        """Compile; UserMustActError AlertInvalid if it is no CEL, or can't be bounded."""
        try:
            code = _code(policy.when)
            # Anything but a boolean becomes an error, before it is made a Python value. A comment ends with its line.
            program = compiled(f"({policy.when}\n) ? true : false")
        except (ValueError, TypeError, RuntimeError, RecursionError) as error:
            message = f"alert {policy.name} is not evaluated, mend its `when`: {str(error)[:300]}"
            raise UserMustActError("AlertInvalid", message) from error
        return cls(policy, program, _shape(code)[0], linear=_LINEAR.search(code) is not None)

    def watches(self, stream: str) -> bool:
        """Whether the alert is about this stream."""
        return fnmatchcase(stream, self.policy.stream)


class Subject:
    """One record, read once for all predicates about it."""

    def __init__(self, stream: str, body: bytes) -> None:
        """Raises UndecidedError if the body can't be read."""
        try:
            event = _decode(body)
        except (ValueError, RecursionError) as error:
            raise UndecidedError("the record is no JSON object") from error
        self._context = context({"event": event, "stream": stream})
        self._values = body.count(b",") + 1
        self._size = len(body)

    def fulfils(self, predicate: Predicate) -> bool:
        """Whether the condition holds. Raises UndecidedError, for whatever reason it can't be told."""
        # No collection, in the record or the expression, has more items than there are commas.
        values = self._values + predicate.policy.when.count(",")
        steps = values**predicate.nesting
        if predicate.nesting and predicate.linear:
            steps *= 1 + self._size // _LINE
        if steps > MAX_STEPS:
            raise UndecidedError(f"the record has too many values for {predicate.nesting} nested loops")
        try:
            return bool(predicate.program.execute(self._context))
        except Exception as error:
            raise UndecidedError(type(error).__name__) from error
        except BaseException as error:
            # The evaluator is native code: its panics must not end the thread, and aren't Exceptions.
            if type(error).__name__ != "PanicException":
                raise
            raise UndecidedError("the evaluator failed") from error


def _code(when: str) -> str:
    """An expression without its literals and comments; ValueError if it is no CEL or beyond the bounds."""
    if len(when) > MAX_LENGTH:
        raise ValueError(f"it is longer than {MAX_LENGTH} characters")
    compiled(when)
    code = _LITERAL.sub('""', when)
    nesting, sums = _shape(code)
    if nesting > MAX_NESTING or sums > MAX_SUMS:
        raise ValueError(f"at most {MAX_NESTING} nested loops and {MAX_SUMS} sums are taken")
    return code


def _shape(code: str) -> tuple[int, int]:
    """How deep loops are nested, and how many sums there are, in CEL without literals and comments."""
    stack: list[bool] = []
    nesting = sums = 0
    for token in _TOKEN.finditer(code):
        if token["method"]:
            stack.append(token["method"] not in _PLAIN)
        elif token["open"]:
            stack.append(False)
        elif token["close"]:
            del stack[-1:]
        elif token["sum"]:
            sums += 1
        nesting = max(nesting, sum(stack) + (token["within"] is not None))
    return nesting, sums
