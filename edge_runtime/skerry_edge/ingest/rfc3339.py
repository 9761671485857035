"""RFC 3339 timestamps to microseconds since 1970 UTC."""

import re
from datetime import datetime, timedelta, timezone

from skerry_core.micros import micros_of, time_of
from skerry_edge.ingest.errors import MalformedError

# https://www.rfc-editor.org/rfc/rfc3339#section-5.6: `T` and `Z` may be lower case, fractions have any length.
_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d{1,64}))?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)


def parse_time(text: str) -> int:
    """Microseconds since 1970 UTC; finer digits are cut off, a leap second is the first second after it.

    Raises MalformedError `InvalidTime`, also for times outside the years 1 to 9999 in UTC.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise MalformedError("InvalidTime", "time must be a timestamp of RFC 3339, such as 2026-01-31T12:00:00.5Z")
    year, month, day, hour, minute, second, fraction, sign, off_hours, off_minutes = found.groups()
    micros = int((fraction or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(off_hours or 0), minutes=int(off_minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=zone)
        since = micros_of(local) + int(second) * 1_000_000 + micros
        time_of(since)
    except (ValueError, OverflowError) as error:
        raise MalformedError("InvalidTime", f"time is not in the calendar: {text[:64]}") from error
    return since
