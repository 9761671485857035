"""Texts made of fixed words and numbers: a counter in an id, a UUID, a time. The numbers become integers.

Whatever is taken apart here is put together again and compared, so a text that only looks regular stays as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.columnar import Strings
from skerry_core.batch.texts import offsets_of

Int64s = NDArray[np.int64]
Chars = NDArray[np.uint8]

DECIMAL, HEX = 10, 16
MAX_FIELDS = 32
_MAX_DIGITS = {DECIMAL: 18, HEX: 12}
# A run of hexadecimal digits is taken as a number from four on, so that most words stay words.
_RUN = re.compile(r"([0-9a-f]{4,}|[0-9]+)")
_MAX_LENGTH = 1024
_HEX_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_MICROS = 1_000_000
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)")
_EPOCH = np.datetime64(0, "us")
_FIRST, _LAST = (int((np.datetime64(year, "us") - _EPOCH).astype(np.int64)) for year in ("0001", "9999-12-31"))


@dataclass(frozen=True, slots=True)
class Numbers:
    """One field of a template: `width` digits in every text, or 0: as many as the number has."""

    radix: int
    width: int
    values: Int64s


@dataclass(frozen=True, slots=True)
class Template:
    """literals[0], fields[0], literals[1], …, fields[-1], literals[-1]."""

    literals: list[str]
    fields: list[Numbers]


def as_template(texts: Sequence[str]) -> Template | None:
    """The template that all texts have, if there is one."""
    if len(texts[0]) > _MAX_LENGTH or not 1 < len(_RUN.split(texts[0])) <= 2 * MAX_FIELDS + 1:
        return None
    split = list(map(_RUN.split, texts))
    if len(set(map(len, split))) > 1:
        return None
    columns = list(zip(*split, strict=True))
    if any(len(set(literals)) > 1 for literals in columns[::2]):
        return None
    found = Template([columns[0][0]], [])
    for digits, literals in zip(columns[1::2], columns[2::2], strict=True):
        fields = _numbers(digits)
        if fields is None or len(found.fields) + len(fields) > MAX_FIELDS:
            return None
        found.fields.extend(fields)
        found.literals.extend([*[""] * (len(fields) - 1), literals[0]])
    return found


def _numbers(digits: tuple[str, ...]) -> list[Numbers] | None:
    """Runs of digits as one field, or several if they are long; None if their lengths differ and zeros lead."""
    widths = set(map(len, digits))
    radix = DECIMAL if all(map(str.isdecimal, digits)) else HEX
    if len(widths) > 1:
        if radix == HEX or max(widths) > _MAX_DIGITS[DECIMAL] or any(run[0] == "0" and len(run) > 1 for run in digits):
            return None
        return [Numbers(DECIMAL, 0, np.array(list(map(int, digits)), np.int64))]
    width, step = widths.pop(), _MAX_DIGITS[radix]
    pieces = [(start, min(start + step, width)) for start in range(0, width, step)]
    return [
        Numbers(radix, end - start, np.array([int(run[start:end], radix) for run in digits], np.int64))
        for start, end in pieces
    ]


def from_template(template: Template) -> Strings:
    """The texts. ValueError if a number has more digits than its field."""
    count = len(template.fields[0].values)
    pieces: list[Chars] = []
    keep: list[NDArray[np.bool_]] = []
    for literal, numbers in zip(template.literals, [*template.fields, None], strict=True):
        data = np.frombuffer(literal.encode(), np.uint8)
        pieces.append(np.broadcast_to(data, (count, len(data))))
        keep.append(np.broadcast_to(np.True_, (count, len(data))))
        if numbers is not None:
            chars, kept = _written(numbers)
            pieces.append(chars)
            keep.append(kept)
    chars, kept = np.concatenate(pieces, axis=1), np.concatenate(keep, axis=1)
    if all(numbers.width for numbers in template.fields):
        return Strings(np.arange(count + 1, dtype=np.int64) * chars.shape[1], chars.tobytes())
    return Strings(offsets_of(kept.sum(axis=1, dtype=np.int64)), chars[kept].tobytes())


def _written(numbers: Numbers) -> tuple[Chars, NDArray[np.bool_]]:
    """Digits [n, width], and which of them belong to the number."""
    values = numbers.values
    if len(values) and int(values.min()) < 0:
        raise ValueError("digits of a negative number")
    width = numbers.width or len(str(int(values.max(initial=0))))
    if numbers.width and len(values) and int(values.max()) >= numbers.radix**width:
        raise ValueError("a number with more digits than its field")
    if numbers.radix == HEX:
        shifts = np.arange(width - 1, -1, -1, dtype=np.int64) * 4
        return _HEX_DIGITS[(values[:, None] >> shifts) & 15], np.broadcast_to(np.True_, (len(values), width))
    chars = np.empty((len(values), width), np.uint8)
    rest = values
    for place in range(width - 1, -1, -1):
        rest, digit = np.divmod(rest, 10)
        chars[:, place] = digit + ord("0")
    if numbers.width:
        return chars, np.broadcast_to(np.True_, chars.shape)
    kept = np.logical_or.accumulate(chars != ord("0"), axis=1)
    kept[:, -1] = True
    return chars, kept


@dataclass(frozen=True, slots=True)
class Times:
    """RFC 3339 times: µs since 1970 as read without the zone, `digits` of a fraction, and the zone as written."""

    digits: int
    zone: str
    micros: Int64s


def as_times(texts: Sequence[str]) -> Times | None:
    """Times of one zone and precision, if all texts are."""
    match = _TIME.fullmatch(texts[0])
    if match is None or len(set(map(len, texts))) > 1:
        return None
    digits, zone = len(match[1] or ""), match[2]
    bare = [text[: -len(zone)] for text in texts if text.endswith(zone)]
    if len(bare) < len(texts):
        return None
    try:
        micros = np.array(bare, "datetime64[us]").astype(np.int64)
    except ValueError:
        return None
    times = Times(digits, zone, micros)
    if int(micros.min()) < _FIRST or int(micros.max()) > _LAST:
        return None
    return times if from_times(times).data == "".join(texts).encode() else None


def from_times(times: Times) -> Strings:
    """The texts. ValueError for a time outside the years 1 to 9999."""
    count = len(times.micros)
    if count and (int(times.micros.min()) < _FIRST or int(times.micros.max()) > _LAST):
        raise ValueError("a time outside the calendar")
    seconds, micros = np.divmod(times.micros, _MICROS)
    days, second = np.divmod(seconds, 86_400)
    # Few days in a batch: each is written once.
    distinct, which = np.unique(days, return_inverse=True)
    dates = np.datetime_as_string(distinct.astype("datetime64[D]")).astype("S10")
    chars = np.frombuffer(dates.tobytes(), np.uint8).reshape(-1, 10)[which.ravel()]
    clock = np.frombuffer(b"T00:00:00", np.uint8)
    parts = [chars, np.tile(clock, (count, 1))]
    minutes, second = np.divmod(second, 60)
    hours, minutes = np.divmod(minutes, 60)
    for place, value in ((1, hours), (4, minutes), (7, second)):
        parts[1][:, place] = value // 10 + ord("0")
        parts[1][:, place + 1] = value % 10 + ord("0")
    if times.digits:
        parts.append(np.full((count, 1), ord("."), np.uint8))
        parts.append(_written(Numbers(DECIMAL, times.digits, micros // 10 ** (6 - times.digits)))[0])
    zone = np.frombuffer(times.zone.encode(), np.uint8)
    parts.append(np.broadcast_to(zone, (count, len(zone))))
    whole = np.concatenate(parts, axis=1)
    return Strings(np.arange(count + 1, dtype=np.int64) * whole.shape[1], whole.tobytes())
