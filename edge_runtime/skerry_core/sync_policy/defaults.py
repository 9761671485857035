"""What holds where a SyncPolicy says nothing, and the policy of a site that has none."""

from datetime import timedelta

from skerry_api.v1alpha1.syncpolicy import (
    AGGREGATES,
    ALERTS,
    BUILT_IN,
    CONSENT,
    DEAD_LETTER,
    DRIFT,
    LABELS,
    PREDICTIONS,
    ROLLBACKS,
    ROLLUPS,
    TELEMETRY,
    OnMetered,
    Statistic,
    Tier,
)
from skerry_core.sync_policy.document import DownloadPolicy, StreamPolicy, SyncPolicyDocument, TierPolicy

_MIB = 1 << 20

MAX_AGE = timedelta(days=30)
MAX_BYTES = 1024 * _MIB
DEDUP_WINDOW = timedelta(hours=1)
SAMPLING = 1.0
MAX_BODY = 65_536
TIME_ZONE = "UTC"
MIN_COUNT = 5
STATISTICS = (Statistic.COUNT, Statistic.MEAN)

WEIGHTS = {
    Tier.CRITICAL_TELEMETRY: 16,
    Tier.MODEL_FEEDBACK: 8,
    Tier.LABELLED_EXAMPLES: 4,
    Tier.DIAGNOSTICS: 2,
    Tier.BULK: 1,
}
ON_METERED = {
    Tier.CRITICAL_TELEMETRY: OnMetered.SEND,
    Tier.MODEL_FEEDBACK: OnMetered.SEND,
    Tier.LABELLED_EXAMPLES: OnMetered.HOLD,
    Tier.DIAGNOSTICS: OnMetered.HOLD,
    Tier.BULK: OnMetered.HOLD,
}
DOWNLOADS_ON_METERED = OnMetered.SEND


def _built_in(name: str, tier: Tier, max_bytes: int) -> StreamPolicy:
    return StreamPolicy(
        name=name,
        tier=tier,
        max_age=MAX_AGE,
        max_bytes=max_bytes,
        dedup_window=DEDUP_WINDOW,
        sampling=SAMPLING,
        max_body=MAX_BODY,
    )


_BUILT_IN = {
    PREDICTIONS: (Tier.MODEL_FEEDBACK, MAX_BYTES),
    ROLLBACKS: (Tier.CRITICAL_TELEMETRY, 64 * _MIB),
    DRIFT: (Tier.CRITICAL_TELEMETRY, 64 * _MIB),
    DEAD_LETTER: (Tier.DIAGNOSTICS, 64 * _MIB),
    CONSENT: (Tier.CRITICAL_TELEMETRY, 256 * _MIB),
    ALERTS: (Tier.CRITICAL_TELEMETRY, 64 * _MIB),
    TELEMETRY: (Tier.CRITICAL_TELEMETRY, 64 * _MIB),
    AGGREGATES: (Tier.MODEL_FEEDBACK, 64 * _MIB),
    LABELS: (Tier.LABELLED_EXAMPLES, 256 * _MIB),
    ROLLUPS: (Tier.MODEL_FEEDBACK, 256 * _MIB),
}
BUILT_IN_STREAMS = {name: _built_in(name, *_BUILT_IN[name]) for name in BUILT_IN}
"""The streams of every site, by name, as they are unless its policy says otherwise."""

DEFAULT_POLICY = SyncPolicyDocument(
    streams=tuple(BUILT_IN_STREAMS.values()),
    tiers=tuple(TierPolicy(tier=tier, weight=WEIGHTS[tier], on_metered=ON_METERED[tier]) for tier in Tier),
    downloads=DownloadPolicy(on_metered=DOWNLOADS_ON_METERED),
)
