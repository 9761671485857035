"""A SyncPolicy's spec, with every default filled in, and the document that nodes read. Pure."""

from skerry_api.v1alpha1.syncpolicy import (
    Aggregate,
    Alert,
    DataClass,
    Downloads,
    PrivacyRule,
    Statistic,
    Stream,
    StreamSettings,
    SyncPolicyEffective,
    SyncPolicySpec,
    Tier,
    TierBudget,
    Window,
)
from skerry_core.sync_policy import defaults
from skerry_core.sync_policy.document import SyncPolicyDocument


def effective_policy(spec: SyncPolicySpec) -> SyncPolicyEffective:
    """Fill in every default: Skerry's own streams first, then those of the spec in its order; tiers in theirs."""
    given = {stream.name: stream for stream in spec.streams}
    own = defaults.BUILT_IN_STREAMS
    tiers = {budget.tier: budget for budget in spec.tiers}
    return SyncPolicyEffective(
        streams=(
            *(_stream(given.get(name) or StreamSettings(name=name)) for name in own),
            *(_stream(stream) for stream in spec.streams if stream.name not in own),
        ),
        tiers=tuple(_tier(tiers.get(tier) or TierBudget(tier=tier)) for tier in Tier),
        data_classes=tuple(map(_data_class, spec.data_classes)),
        alerts=tuple(map(_alert, spec.alerts)),
        downloads=_downloads(spec.downloads or Downloads()),
        samples=spec.samples,
    )


def document_of(effective: SyncPolicyEffective) -> SyncPolicyDocument:
    """What nodes are told: the same, in the form that is published. ValidationError if it contradicts itself."""
    return SyncPolicyDocument.model_validate(effective, from_attributes=True)


def _stream(stream: Stream | StreamSettings) -> StreamSettings:
    own = defaults.BUILT_IN_STREAMS.get(stream.name)
    return StreamSettings(
        name=stream.name,
        tier=stream.tier or (own.tier if own else Tier.BULK),
        data_class=stream.data_class,
        max_age=stream.max_age or defaults.MAX_AGE,
        max_bytes=stream.max_bytes or (own.max_bytes if own else defaults.MAX_BYTES),
        dedup_window=stream.dedup_window or defaults.DEDUP_WINDOW,
        mqtt_topics=stream.mqtt_topics,
        sampling=defaults.SAMPLING if stream.sampling is None else stream.sampling,
        max_rate=stream.max_rate,
        max_body=stream.max_body or defaults.MAX_BODY,
        rollup_window=stream.rollup_window,
        device_path=stream.device_path,
        payloads=stream.payloads,
    )


def _tier(budget: TierBudget) -> TierBudget:
    return budget.model_copy(
        update={
            "windows": tuple(map(_window, budget.windows)),
            "weight": budget.weight or defaults.WEIGHTS[budget.tier],
            "on_metered": budget.on_metered or defaults.ON_METERED[budget.tier],
        }
    )


def _downloads(downloads: Downloads) -> Downloads:
    return downloads.model_copy(
        update={
            "windows": tuple(map(_window, downloads.windows)),
            "on_metered": downloads.on_metered or defaults.DOWNLOADS_ON_METERED,
        }
    )


def _window(window: Window) -> Window:
    return window.model_copy(update={"time_zone": window.time_zone or defaults.TIME_ZONE})


def _data_class(data_class: DataClass) -> DataClass:
    return data_class.model_copy(
        update={
            "hash_subject": bool(data_class.hash_subject),
            "rules": tuple(map(_rule, data_class.rules)),
        }
    )


def _rule(rule: PrivacyRule) -> PrivacyRule:
    return rule.model_copy(update={"aggregate": _aggregate(rule.aggregate)}) if rule.aggregate else rule


def _aggregate(aggregate: Aggregate) -> Aggregate:
    return aggregate.model_copy(
        update={
            "min_count": aggregate.min_count or defaults.MIN_COUNT,
            "statistics": tuple(each for each in Statistic if each in aggregate.statistics) or defaults.STATISTICS,
        }
    )


def _alert(alert: Alert) -> Alert:
    return alert.model_copy(update={"message": alert.message or alert.name})
