"""What a SyncPolicy says, whole and with every default resolved: the content of the blob that an assignment names.

All byte counts are whole bytes, all durations are positive. The hub resolves and publishes it
(`skerry_operator.hub.sync_policy`), nodes load it (`skerry_core.sync_policy.load`).
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from skerry_api.v1alpha1.fields import ApiModel, Duration, Fraction, Name, Timestamp
from skerry_api.v1alpha1.syncpolicy import Consent, OnMetered, PrivacyAction, Statistic, Tier

MAX_DOCUMENT_BYTES = 65_536

Bytes = Annotated[int, Field(ge=1)]


class StreamPolicy(ApiModel):
    """One stream: a log of its own on each node.

    `max_age` and `max_bytes` bound what a node keeps; `dedup_window` is how long a producer's id is remembered;
    `sampling` is the share of entities, by a hash of each, whose events leave the site; `max_rate` is in events a
    second, taken in by one node; `max_body` bounds one event. `data_class` None: no rule of consent or privacy holds.
    `rollup_window` is how much of event time each of its rollups is of; None: there are none.
    `device_path` is where an event names its device; None: nothing is looked up in the site's registry.
    `payloads`, of predictions, is the share of them that are recorded with inputs and outputs; None: none are.
    """

    name: Name
    tier: Tier
    data_class: Name | None = None
    max_age: Duration
    max_bytes: Bytes
    dedup_window: Duration
    mqtt_topics: tuple[str, ...] = ()
    sampling: Fraction
    max_rate: Annotated[float, Field(gt=0)] | None = None
    max_body: Bytes
    rollup_window: Duration | None = None
    device_path: str | None = None
    payloads: Fraction | None = None


class Window(ApiModel):
    """Opens whenever the cron schedule (five fields, in the IANA time zone) fires, for `duration`."""

    schedule: str
    time_zone: str
    duration: Duration


class Budget(ApiModel):
    """What one kind of traffic of one node may use: bytes on the wire, when, and over what link; None: no limit.

    An hour and a day begin anywhere. No `windows` means always.
    """

    bytes_per_second: Bytes | None = None
    bytes_per_hour: Bytes | None = None
    bytes_per_day: Bytes | None = None
    windows: tuple[Window, ...] = ()
    on_metered: OnMetered


class TierPolicy(Budget):
    """What a tier's uploads may use; `weight` is its share of the link beside other tiers that have something to send.

    CriticalTelemetry has no windows and is never held.
    """

    tier: Tier
    weight: Annotated[int, Field(ge=1)]


class DownloadPolicy(Budget):
    """What downloads (models, policies) may use."""


class Coarsen(ApiModel):
    """How a value is made less exact; exactly one is set.

    `step`: a number goes down to a multiple of it. `truncate_to`: a time goes down to a multiple of it since 1970 UTC.
    `prefix`: a string is cut after that many characters.
    """

    step: Annotated[float, Field(gt=0)] | None = None
    truncate_to: Duration | None = None
    prefix: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.step, self.truncate_to, self.prefix)) != 1:
            raise ValueError("exactly one of step, truncateTo and prefix is needed")
        return self


class Aggregate(ApiModel):
    """A number is taken out; told are statistics over the stream's numbers that came in within a `window` of time.

    They leave as an event of the stream `aggregates`. Of windows in which fewer than `min_count` events have a number
    nothing is told.
    """

    window: Duration
    min_count: Annotated[int, Field(ge=1)]
    statistics: Annotated[tuple[Statistic, ...], Field(min_length=1)]


class Rule(ApiModel):
    """What becomes of one field: `path` is dotted, below the event's `data`; `*` stands for every item or key.

    Of Skerry's own records, which have no `data`, it is below the record itself.

    `coarsen` is there for Coarsen, `aggregate` for Aggregate, neither for Drop and Hash (HMAC-SHA256 keyed with the
    site's salt).
    """

    path: str
    action: PrivacyAction
    coarsen: Coarsen | None = None
    aggregate: Aggregate | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.coarsen is not None) != (self.action is PrivacyAction.COARSEN):
            raise ValueError("coarsen belongs to action Coarsen, and to no other")
        if (self.aggregate is not None) != (self.action is PrivacyAction.AGGREGATE):
            raise ValueError("aggregate belongs to action Aggregate, and to no other")
        return self


class DataClassPolicy(ApiModel):
    """What holds for every stream of the class before anything leaves the site, in this order: TTL, consent, rules.

    `ttl` counts from an event's ingest; None: only the stream's `max_age` counts. With `hash_subject`, an event's
    `subject` (the entity that it is about) leaves the site as its hash, made as Hash rules make theirs.
    """

    name: Name
    consent: Consent
    ttl: Duration | None = None
    hash_subject: bool = False
    rules: tuple[Rule, ...] = ()


class AlertPolicy(ApiModel):
    """An urgent event is made of each record of the streams that match the glob for which `when` (CEL) is true.

    `when` sees `event`, the record's JSON body, and `stream`, its stream's name. Streams `alerts` and `telemetry` are
    never looked at, whatever the glob.
    """

    name: Name
    stream: str
    when: str
    message: str


class SamplePolicy(ApiModel):
    """Records of a stream for which `when` (CEL, as an alert's; None: all) is true leave though sampling keeps them.

    Until `until`, and at most `max_bytes` of them from each node.
    """

    name: Name
    stream: Name
    when: str | None = None
    until: Timestamp
    max_bytes: Bytes


class SyncPolicyDocument(ApiModel):
    """Everything that ingest, sync and outbound rules of one site's nodes go by.

    `streams` has every built-in stream and no name twice; `tiers` has each tier once, in order.
    A stream that isn't here takes nothing in, and what its log still holds does not leave the node: the rules that it
    would have to pass aren't known.
    """

    streams: tuple[StreamPolicy, ...]
    tiers: tuple[TierPolicy, ...]
    data_classes: tuple[DataClassPolicy, ...] = ()
    alerts: tuple[AlertPolicy, ...] = ()
    downloads: DownloadPolicy
    samples: tuple[SamplePolicy, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for names in (self.streams, self.data_classes, self.alerts, self.samples):
            if len({part.name for part in names}) != len(names):
                raise ValueError("a name is there twice")
        if tuple(part.tier for part in self.tiers) != tuple(Tier):
            raise ValueError("each tier must be there once, in order")
        known = {part.name for part in self.data_classes}
        for stream in self.streams:
            if stream.data_class is not None and stream.data_class not in known:
                raise ValueError(f"stream {stream.name} is of data class {stream.data_class}, which is not there")
        return self

    def stream(self, name: str) -> StreamPolicy | None:
        """One stream by name; None if the policy doesn't know it."""
        return next((stream for stream in self.streams if stream.name == name), None)

    def tier(self, tier: Tier) -> TierPolicy:
        """One tier's policy."""
        return self.tiers[tier.rank]

    def data_class(self, name: str) -> DataClassPolicy | None:
        """One data class by name."""
        return next((part for part in self.data_classes if part.name == name), None)
