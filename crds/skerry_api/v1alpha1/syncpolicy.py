"""SyncPolicy: what the nodes of some sites take in, keep and send, in which order and under which budgets."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import (
    ApiModel,
    Digest,
    Duration,
    Fraction,
    Name,
    ObjectMeta,
    PositiveDuration,
    Timestamp,
    map_by,
)
from skerry_api.v1alpha1.quantity import ByteCount, between
from skerry_api.v1alpha1.selector import LabelSelector

RateBytes = Annotated[ByteCount, between("100", "1Ti")]
BudgetBytes = Annotated[ByteCount, between("1k", "1024Ti")]
BodyBytes = Annotated[ByteCount, between("64", "64Ki")]
SampleBytes = Annotated[ByteCount, between("1k", "1Ti")]
LogBytes = Annotated[ByteCount, between("1Mi", "64Ti")]


class Tier(StrEnum):
    """How much data matters, the most first: later tiers wait, and are refused, before earlier ones."""

    CRITICAL_TELEMETRY = "CriticalTelemetry"
    MODEL_FEEDBACK = "ModelFeedback"
    LABELLED_EXAMPLES = "LabelledExamples"
    DIAGNOSTICS = "Diagnostics"
    BULK = "Bulk"

    @property
    def rank(self) -> int:
        """Place in the order, 0 for what matters most."""
        return tuple(Tier).index(self)


class OnMetered(StrEnum):
    """What happens while the link costs by the byte."""

    SEND = "Send"
    HOLD = "Hold"


class Consent(StrEnum):
    """Whether an entity's events leave the site only while it consents."""

    REQUIRED = "Required"
    NOT_NEEDED = "NotNeeded"


class PrivacyAction(StrEnum):
    """What becomes of a field before its event leaves the site."""

    DROP = "Drop"
    HASH = "Hash"
    COARSEN = "Coarsen"
    AGGREGATE = "Aggregate"


class Statistic(StrEnum):
    """What is told of an aggregated field's values."""

    COUNT = "Count"
    SUM = "Sum"
    MEAN = "Mean"
    MIN = "Min"
    MAX = "Max"


PREDICTIONS, ROLLBACKS, DEAD_LETTER, CONSENT = "predictions", "rollbacks", "dead-letter", "consent"
ALERTS, TELEMETRY, AGGREGATES, LABELS, DRIFT = "alerts", "telemetry", "aggregates", "labels", "drift"
ROLLUPS = "rollups"
BUILT_IN = (PREDICTIONS, ROLLBACKS, DRIFT, DEAD_LETTER, CONSENT, ALERTS, TELEMETRY, AGGREGATES, LABELS, ROLLUPS)
"""Streams that every site has: Skerry writes them, but for `consent` and `labels`, which producers write."""

_NEEDS_TIER = Rule(
    f"has(self.tier) || self.name in {list(BUILT_IN)}",
    f"a stream needs a tier; only Skerry's own ({', '.join(BUILT_IN)}) have one already",
)
_FIXED = Rule(
    f"!(self.name in {[ROLLBACKS, DRIFT, CONSENT, ALERTS, TELEMETRY]}) || (!has(self.tier) && !has(self.sampling))",
    "rollbacks, drift, consent, alerts and telemetry keep their tier and are sent whole: leave tier and sampling out",
)
_NOT_INGESTED = Rule(
    f"!(self.name in {[name for name in BUILT_IN if name not in (CONSENT, LABELS)]}) || !(has(self.mqttTopics)"
    " || has(self.dedupWindow) || has(self.maxRate) || has(self.maxBody))",
    "of Skerry's own streams only consent and labels take events in: leave mqttTopics, dedupWindow, maxRate and maxBody"
    " out",
)
_NOT_ROLLED_UP = Rule(
    f"!(self.name in {[name for name in BUILT_IN if name not in (PREDICTIONS, LABELS)]}) || !has(self.rollupWindow)",
    "of Skerry's own streams only predictions and labels are rolled up: leave rollupWindow out",
)
_ROLLUP_LENGTH = Rule(
    "duration(self) >= duration('1m') && duration(self) <= duration('168h')",
    "must be at least 1m and at most 168h",
)
_NO_DEVICES = Rule(
    f"!(self.name in {list(BUILT_IN)}) || !has(self.devicePath)",
    "Skerry's own streams are of no device: leave devicePath out",
)
_NO_PAYLOADS = Rule(
    f"self.name == '{PREDICTIONS}' || !has(self.payloads)",
    "inputs and outputs are recorded with predictions, and with nothing else: leave payloads out",
)
_WINDOW_LENGTH = Rule(
    "duration(self) > duration('0s') && duration(self) <= duration('168h')",
    "must be longer than 0s and at most 168h",
)
_NEVER_HELD = Rule(
    "self.tier != 'CriticalTelemetry' || ((!has(self.windows) || self.windows.size() == 0)"
    " && (!has(self.onMetered) || self.onMetered == 'Send'))",
    "CriticalTelemetry takes no windows and is never held: it tells that a site is in trouble",
)
_ONE_WAY = Rule(
    "[has(self.step), has(self.truncateTo), has(self.prefix)].filter(given, given).size() == 1",
    "give exactly one of step, truncateTo and prefix",
)
_COARSEN = Rule(
    "has(self.coarsen) == (self.action == 'Coarsen')",
    "action Coarsen needs coarsen, and no other action takes it",
)
_AGGREGATE = Rule(
    "has(self.aggregate) == (self.action == 'Aggregate')",
    "action Aggregate needs aggregate, and no other action takes it",
)

_MAX_STREAMS = 64
_TOPIC_PATTERN = r"^(#|(\+|[^+#/]*)(/(\+|[^+#/]*))*(/#)?)$"
_PATH_PATTERN = r"^[^.\s]+(\.[^.\s]+)*$"
_TIME_ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
_DEVICE_PATH_PATTERN = r"^(subject|source|data(\.[A-Za-z_]\w*){1,7})$"
DevicePath = Annotated[str, StringConstraints(pattern=_DEVICE_PATH_PATTERN, max_length=256)]
Topic = Annotated[str, StringConstraints(pattern=_TOPIC_PATTERN, min_length=1, max_length=256)]


class StreamSettings(ApiModel):
    """One stream of events: a log of its own on each node."""

    name: Name
    """Name in the ingest URL, `/v1/streams/NAME/events`, and of the hub's table."""
    tier: Tier | None = None
    """How much it matters: what is sent first, and refused last when a node's disk is full."""
    data_class: Name | None = None
    """One of `dataClasses`, whose consent and privacy rules hold. Unless set none do, but `consent` leaves by hash."""
    max_age: PositiveDuration | None = None
    """How long a node keeps an event, sent or not. Default: 720h."""
    max_bytes: LogBytes | None = None
    """How much a node keeps; more is refused until some is sent. Default: 1Gi, of Skerry's own less."""
    dedup_window: PositiveDuration | None = None
    """How long a producer's event id is remembered: a retry within it is no second event. Default: 1h.

    A node remembers 1,048,576 ids for all its streams together, and the window is shorter where more come within it:
    `skerry_events_dedup_window_seconds` says how long it is. A stream takes no more of them than its `maxRate` can
    bring in the window, `consent` and `labels` without one no more than 65,536 each, and the others have equal parts
    of the rest: one other stream alone holds an hour at 250 events a second.
    """
    mqtt_topics: Annotated[
        tuple[Topic, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Topic filters of the site's MQTT broker; a message goes to each stream that has a matching one."""
    sampling: Fraction | None = None
    """Share of entities, by a hash of each, whose events leave the site, 0 to 1; all stay on the node. Default: 1."""
    max_rate: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """Events a second that a node takes in; more are refused with 429. No limit unless set."""
    max_body: BodyBytes | None = None
    """Greatest size of one event. Default: 64Ki."""
    rollup_window: Annotated[Duration | None, Field(json_schema_extra=rules(_ROLLUP_LENGTH))] = None
    """Length of windows of event time whose statistics leave by the stream `rollups`, sampled or not; none if unset."""
    device_path: DevicePath | None = None
    """Where an event names its device, such as `subject` or `data.device`.

    What the site's registry then says of the device is stored with the event, as `device`, for features to read.
    """
    payloads: Fraction | None = None
    """Of `predictions` alone: share of answers, by a hash of each one's id, recorded with inputs and outputs.

    From 0 to 1; none unless set. Those that come to more than 16 KiB are left out. The data class's rules see them as
    `inputs.NAME.data` and `outputs.NAME.data`.
    """


class Stream(StreamSettings):
    """One stream of events: a log of its own on each node. One of Skerry's own is named to change how it is kept."""

    model_config = ConfigDict(
        json_schema_extra=rules(_NEEDS_TIER, _FIXED, _NOT_INGESTED, _NOT_ROLLED_UP, _NO_DEVICES, _NO_PAYLOADS)
    )


class Window(ApiModel):
    """A time during which something is sent: it opens by a schedule, and stays open for a while."""

    schedule: Annotated[str, StringConstraints(min_length=9, max_length=128)]
    """When it opens, as cron's five fields: `0 22 * * 1-5` is ten at night from Monday to Friday."""
    time_zone: Annotated[str, StringConstraints(pattern=_TIME_ZONE_PATTERN, max_length=64)] | None = None
    """IANA time zone that the schedule is meant in, such as `Europe/Oslo`. Default: UTC."""
    duration: Annotated[Duration, Field(json_schema_extra=rules(_WINDOW_LENGTH))]
    """How long it stays open, at most a week."""


class Budget(ApiModel):
    """What one kind of traffic of each node may use."""

    bytes_per_second: RateBytes | None = None
    """Greatest rate, over a few seconds; no limit unless set."""
    bytes_per_hour: BudgetBytes | None = None
    """Bytes on the wire in an hour, wherever it begins; no limit unless set."""
    bytes_per_day: BudgetBytes | None = None
    """Bytes on the wire in 24 hours, wherever they begin; no limit unless set."""
    windows: Annotated[tuple[Window, ...], Field(max_length=16)] = ()
    """Times at which it is sent; at all times unless there are some."""


class TierBudget(Budget):
    """What one tier's uploads may use."""

    model_config = ConfigDict(json_schema_extra=rules(_NEVER_HELD))

    tier: Tier
    """The tier."""
    weight: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Share of the link beside other tiers that have something to send. Default: 16, 8, 4, 2, 1 in the tiers' order."""
    on_metered: OnMetered | None = None
    """Send or Hold while the link is metered. Default: Send for CriticalTelemetry and ModelFeedback, else Hold."""


class Downloads(Budget):
    """What downloads may use: models, their files, policies."""

    on_metered: OnMetered | None = None
    """Send or Hold (fetch nothing) while the link is metered. Default: Send."""


class Coarsen(ApiModel):
    """How a value is made less exact; a value of another type is dropped."""

    model_config = ConfigDict(json_schema_extra=rules(_ONE_WAY))

    step: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """A number is lowered to a multiple of this."""
    truncate_to: PositiveDuration | None = None
    """A time (RFC 3339) is lowered to a multiple of this since 1970 in UTC."""
    prefix: Annotated[int, Field(ge=1, le=1024)] | None = None
    """A string is cut after this many characters."""


class Aggregate(ApiModel):
    """Numbers are taken out of their events; statistics of all in a window of time leave by the stream `aggregates`."""

    window: PositiveDuration
    """Length of the windows of time, each told as a whole."""
    min_count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Of windows with values of fewer events nothing is told: few say too much of whom they are from. Default: 5."""
    statistics: Annotated[
        tuple[Statistic, ...], Field(max_length=5, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """What is told: Count, Sum, Mean, Min, Max; Count and Mean unless set."""


class PrivacyRule(ApiModel):
    """What becomes of one field before its event leaves the site."""

    model_config = ConfigDict(json_schema_extra=rules(_COARSEN, _AGGREGATE))

    path: Annotated[str, StringConstraints(pattern=_PATH_PATTERN, max_length=256)]
    """Where it is below the event's `data` (of Skerry's own records: below the record); `*` for each item or key."""
    action: PrivacyAction
    """Drop it, Hash it with the site's salt (alike within the data class), Coarsen it, or Aggregate it."""
    coarsen: Coarsen | None = None
    """How Coarsen makes it less exact."""
    aggregate: Aggregate | None = None
    """What Aggregate makes of it."""


class DataClass(ApiModel):
    """A kind of data by what may become of it, such as `personal`."""

    name: Name
    """What streams call it in `dataClass`."""
    consent: Consent
    """Required: an event leaves the site only while its entity (`subject`, else `source`) consents to the class."""
    ttl: PositiveDuration | None = None
    """Age at which an event no longer leaves the site; the stream's maxAge unless set."""
    hash_subject: bool | None = None
    """Whether the event's `subject` leaves the site only as its hash, and `device` not at all. Default: false."""
    rules: Annotated[tuple[PrivacyRule, ...], Field(max_length=64, json_schema_extra=map_by("path"))] = ()
    """What becomes of fields."""


class Alert(ApiModel):
    """A predicate over single predictions and events; a record for which it is true makes an urgent event."""

    name: Name
    """What the urgent event is called."""
    stream: Annotated[str, StringConstraints(pattern=r"^[a-z0-9*?-]+$", max_length=63)]
    """Streams that are looked at; `*` and `?` stand for any characters. Never `alerts` and `telemetry`."""
    when: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """A CEL expression over `event` (the record) and `stream` (its name), such as `event.data.celsius > 90.0`."""
    message: Annotated[str, StringConstraints(max_length=512)] | None = None
    """What it means, for people; the alert's name unless set."""


class Sample(ApiModel):
    """Records that leave a node though their stream's sampling would keep them there; all other rules hold for them."""

    name: Name
    """What the request is called; with another name or another end it is a new one, of which nothing is spent."""
    stream: Name
    """The stream that they are of."""
    when: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """A CEL expression over `event` (the record) and `stream`, such as `event.subject == 'press-7'`. Default: all."""
    until: Timestamp
    """When the request ends."""
    max_bytes: SampleBytes
    """How many bytes of records each node sends at most."""


class SyncPolicyRules(ApiModel):
    """All that a policy says."""

    tiers: Annotated[tuple[TierBudget, ...], Field(max_length=5, json_schema_extra=map_by("tier"))] = ()
    """What each tier's uploads may use."""
    data_classes: Annotated[tuple[DataClass, ...], Field(max_length=32, json_schema_extra=map_by("name"))] = ()
    """Kinds of data, and what holds for each before anything leaves the site."""
    alerts: Annotated[tuple[Alert, ...], Field(max_length=32, json_schema_extra=map_by("name"))] = ()
    """Predicates that make urgent events."""
    downloads: Downloads | None = None
    """What downloads may use."""
    samples: Annotated[tuple[Sample, ...], Field(max_length=16, json_schema_extra=map_by("name"))] = ()
    """Records that are asked for though sampling would keep them at the site."""


class SyncPolicySpec(SyncPolicyRules):
    site_selector: LabelSelector = LabelSelector()
    """Sites, by labels of EdgeSites; all unless set. A site follows the policy that was created first of those."""
    streams: Annotated[tuple[Stream, ...], Field(max_length=_MAX_STREAMS, json_schema_extra=map_by("name"))] = ()
    """Streams that nodes take events into, and changes to Skerry's own."""


class SyncPolicyEffective(SyncPolicyRules):
    """The policy with every default resolved."""

    streams: Annotated[
        tuple[StreamSettings, ...],
        Field(max_length=_MAX_STREAMS + len(BUILT_IN), json_schema_extra=map_by("name")),
    ] = ()
    """All streams, Skerry's own included."""


class SyncPolicyStatus(Status):
    digest: Digest | None = None
    """Digest of the resolved policy, as assignments name it."""
    sites: Annotated[int, Field(ge=0)] = 0
    """EdgeSites that follow this policy."""
    updated_sites: Annotated[int, Field(ge=0)] = 0
    """Of those, the ones that have taken the assignment that names the present digest."""
    effective: SyncPolicyEffective | None = None
    """The policy with every default resolved."""


class SyncPolicy(ApiModel):
    """What the nodes of some sites take in, keep and send. Deleting it changes no site: another policy replaces it."""

    metadata: ObjectMeta
    spec: SyncPolicySpec
    """Which sites, and what holds there."""
    status: SyncPolicyStatus = SyncPolicyStatus()
    """Which sites follow it, and the policy in force."""
