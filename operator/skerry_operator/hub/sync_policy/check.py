"""What the API server can't check of a SyncPolicy: schedules, time zones, expressions, and what refers to what. Pure.

Nodes meet none of it: a policy that fails here is Stalled, and its sites keep the one that they have.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from skerry_api.v1alpha1.syncpolicy import CONSENT, Consent, SyncPolicyEffective, Window
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES
from skerry_operator.hub.sync_policy.expression import check_expression
from skerry_operator.hub.sync_policy.resolve import document_of

_CRON_FIELDS = 5
_LEAP_DAY_BEFORE = datetime(2024, 1, 1, tzinfo=UTC)
# A link of a time zone database to the machine's own zone: another one on each node.
_LOCAL_ZONES = frozenset({"localtime", "Factory"})


def publishable(effective: SyncPolicyEffective) -> bytes:
    """Give the bytes that sites are to have; UserMustActError says what in the policy has to be changed first."""
    for where, window in _windows(effective):
        _check_zone(where, window)
        _check_schedule(where, window)
    _check_data_classes(effective)
    for alert in effective.alerts:
        check_expression(alert.when, f"alert {alert.name}, when")
    _check_samples(effective)
    data = canonical_json(document_of(effective))
    if len(data) > MAX_DOCUMENT_BYTES:
        raise UserMustActError(
            "PolicyTooLarge",
            f"resolved, the policy has {len(data)} bytes, allowed are {MAX_DOCUMENT_BYTES}: drop parts of it",
        )
    return data


def _check_samples(effective: SyncPolicyEffective) -> None:
    streams = {stream.name for stream in effective.streams}
    for sample in effective.samples:
        if sample.when is not None:
            check_expression(sample.when, f"sample {sample.name}, when")
        if sample.stream not in streams:
            raise UserMustActError(
                "StreamUnknown", f"sample {sample.name}: there is no stream {sample.stream!r}; correct the name"
            )


def _windows(effective: SyncPolicyEffective) -> Iterator[tuple[str, Window]]:
    for budget in effective.tiers:
        yield from ((f"tier {budget.tier}", window) for window in budget.windows)
    if effective.downloads is not None:
        yield from (("downloads", window) for window in effective.downloads.windows)


def _check_zone(where: str, window: Window) -> None:
    zone = window.time_zone or ""
    if not _is_zone(zone):
        raise UserMustActError(
            "TimeZoneUnknown", f"{where}: {zone!r} is no time zone; give an IANA name such as Europe/Oslo"
        )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return name not in _LOCAL_ZONES


def _check_schedule(where: str, window: Window) -> None:
    if problem := _problem_of(window.schedule):
        raise UserMustActError(
            "ScheduleInvalid",
            f"{where}: {window.schedule!r} is no schedule: {problem}; give cron's minute, hour, day of month, month and"
            " day of week, such as 0 22 * * 1-5",
        )


def _problem_of(schedule: str) -> str | None:
    if len(schedule.split()) != _CRON_FIELDS:
        return f"it needs {_CRON_FIELDS} fields"
    try:
        comes_round = next(CronSim(schedule, _LEAP_DAY_BEFORE), None) is not None
    except CronSimError as error:
        return str(error)
    return None if comes_round else "it never comes round"


def _check_data_classes(effective: SyncPolicyEffective) -> None:
    classes = {each.name: each for each in effective.data_classes}
    for stream in effective.streams:
        if stream.data_class is None:
            continue
        if stream.data_class not in classes:
            raise UserMustActError(
                "DataClassUnknown",
                f"stream {stream.name} is of data class {stream.data_class!r}, which is not in spec.dataClasses:"
                " add it there or correct the name",
            )
        if stream.name == CONSENT and classes[stream.data_class].consent is Consent.REQUIRED:
            raise UserMustActError(
                "ConsentNeedsConsent",
                f"stream {CONSENT} is of data class {stream.data_class!r}, which requires consent: then nobody could"
                " withdraw it; give the stream a class with consent: NotNeeded",
            )
