"""From one unit to another: the factor and the offset, exact, and rounded once to what nodes multiply and add by.

pint knows the units. It takes angles and counts as pure numbers, by which 1 rpm would be 0.1 Hz; here units must be of
the same base units, so that is refused, and turn/min to turn/s is 1/60.
"""

import threading
from fractions import Fraction
from functools import cache
from typing import Any

import pint

from skerry_core.errors import UserMustActError

# The registry remembers what it has looked up, and isn't safe for threads.
_LOCK = threading.Lock()


def conversion(source: str | None, target: str | None, where: str) -> tuple[float, float]:
    """`(factor, offset)`: a value of `source`, times factor, plus offset, is one of `target`. Without units (1, 0).

    UserMustActError UnitUnknown or UnitsDiffer, which names `where`; `target` must be given with `source`.
    """
    if target is None:
        return 1.0, 0.0
    with _LOCK:
        to, origin = _unit(target, where), _unit(source or target, where)
        if to == origin:
            return 1.0, 0.0
        if _base(to) != _base(origin):
            raise UserMustActError("UnitsDiffer", f"{where}: {source} is no {target}, whatever the factor")
        try:
            zero, one, two = (_registry().Quantity(Fraction(n), origin).to(to).magnitude for n in range(3))
        except (pint.PintError, TypeError, ArithmeticError) as error:
            # Of a logarithmic unit, fractions have none.
            raise _no_multiplication(source, target, where) from error
    if two - one != one - zero:
        raise _no_multiplication(source, target, where)
    return float(one - zero), float(zero)


@cache
def _registry() -> Any:
    """Give pint's units, in exact fractions. They take seconds to read, so only where a unit is met."""
    return pint.UnitRegistry(non_int_type=Fraction, cache_folder=None)


def _unit(text: str, where: str) -> Any:
    try:
        return _registry().Unit(text)
    except (pint.PintError, ValueError, TypeError, ArithmeticError) as error:
        # pint's own words for these are its insides'.
        raise UserMustActError(
            "UnitUnknown", f"{where}: {text!r} is no unit; use names such as mm/s, degC, kW*h, turn/min, count or %"
        ) from error


def _base(unit: Any) -> Any:
    return _registry().get_root_units(unit, check_nonmult=False)[1]


def _no_multiplication(source: str | None, target: str, where: str) -> UserMustActError:
    return UserMustActError("UnitsDiffer", f"{where}: {source} to {target} is no multiplication: send {target}")
