"""What privacy rules make of one value. A value of a kind that a rule can't change is taken out and counted."""

import hmac
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal, DecimalException

from skerry_core.micros import floored
from skerry_core.sync_policy.document import Coarsen
from skerry_edge.sync.outbound.path import GONE, Change, Json, Tally

# Bytes of HMAC-SHA256 that a hash keeps; as text twice as many characters. By the birthday bound two of 2**32 different
# values share one with probability 2**-65.
HASH_BYTES = 16

# Beyond this many steps from zero a double no longer tells neighbouring steps apart, so it could pass unchanged.
_MAX_STEPS = 10**15
_EXACT = 2**53
_DECIMAL = Context(prec=40)


def drop(_value: Json, _tally: Tally) -> Json:
    """Take the value out."""
    return GONE


def hasher(key: bytes, domain: str) -> Change:
    """Replace text, numbers and booleans by hex HMAC-SHA256 under `key`, cut to HASH_BYTES.

    The message is the domain (a data class), a zero byte, one letter for the type (s, n, b) and the value: UTF-8, the
    shortest decimal of a number, true or false. So equal values of one data class have equal hashes, whatever their
    path or stream, and those of different data classes can't be joined. Numbers are compared as JSON means them: 1 and
    1.0 are one number.
    """
    prefix = domain.encode() + b"\x00"

    def change(value: Json, tally: Tally) -> Json:
        if isinstance(value, str):
            message = b"s" + value.encode()
        elif isinstance(value, bool):
            message = b"btrue" if value else b"bfalse"
        elif isinstance(value, int):
            message = b"n%d" % value
        elif isinstance(value, float):
            whole = value.is_integer() and abs(value) < _EXACT
            message = b"n" + (str(int(value)) if whole else repr(value)).encode()
        else:
            return _misfit(tally)
        return hmac.digest(key, prefix + message, "sha256")[:HASH_BYTES].hex()

    return change


def coarsener(coarsen: Coarsen) -> Change:
    """Make a number, a time or a text less exact, as the one field that is set says."""
    if coarsen.step is not None:
        return _to_step(coarsen.step)
    if coarsen.truncate_to is not None:
        return _to_time(coarsen.truncate_to)
    assert coarsen.prefix is not None
    return _to_prefix(coarsen.prefix)


def collector(index: int) -> Change:
    """Take a number out and into the tally, for rule number `index`."""

    def change(value: Json, tally: Tally) -> Json:
        if not _is_number(value):
            return _misfit(tally)
        tally.values.append((index, value))
        return GONE

    return change


def _to_step(step: float) -> Change:
    """Numbers go down to a multiple of `step`: in decimals, so that 0.3 is a multiple of 0.1.

    All numbers of one step have one result, an integer if the step is one: not even its type tells more.
    """
    exact = Decimal(repr(step))
    whole = float(step).is_integer()

    def change(value: Json, tally: Tally) -> Json:
        if not _is_number(value):
            return _misfit(tally)
        try:
            steps = _DECIMAL.divide(Decimal(repr(value)), exact).to_integral_value(ROUND_FLOOR)
            if abs(steps) > _MAX_STEPS:
                return _misfit(tally)
            coarse = _DECIMAL.multiply(steps, exact)
        except (DecimalException, ValueError):
            return _misfit(tally)
        # `+ 0.0` for there being two zeros.
        return int(coarse) if whole else float(coarse) + 0.0

    return change


def _to_time(unit: timedelta) -> Change:
    """RFC 3339 times go down to a multiple of `unit` since 1970, told in UTC: an offset would tell about the place."""

    def change(value: Json, tally: Tally) -> Json:
        if not isinstance(value, str):
            return _misfit(tally)
        try:
            instant = datetime.fromisoformat(value)
            if instant.tzinfo is None:
                instant = instant.replace(tzinfo=UTC)
            coarse = floored(instant, unit)
        except (ValueError, ArithmeticError):
            return _misfit(tally)
        return coarse.replace(tzinfo=None).isoformat() + "Z"

    return change


def _to_prefix(length: int) -> Change:
    def change(value: Json, tally: Tally) -> Json:
        return value[:length] if isinstance(value, str) else _misfit(tally)

    return change


def _is_number(value: Json) -> bool:
    return type(value) in (int, float)  # a boolean is an int for isinstance


def _misfit(tally: Tally) -> Json:
    tally.misfits += 1
    return GONE
