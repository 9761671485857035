"""What of a node's metrics goes into its summaries, and under which name."""

from dataclasses import dataclass
from enum import StrEnum

from skerry_api.v1alpha1.syncpolicy import Tier


class Life(StrEnum):
    """How long a counter counts on: as long as its process runs, or as long as its stream's log is the same."""

    RUN = "Run"
    LOG = "Log"


@dataclass(frozen=True)
class Count:
    """A counter: its name in summaries, its Prometheus sample, and the labels by which it's told apart there.

    `but` are values of the first of those labels that don't belong.
    """

    name: str
    sample: str
    by: tuple[str, ...] = ()
    life: Life = Life.RUN
    but: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Level:
    """A gauge. Those of several processes are told apart by the process, those of streams and tiers by these."""

    name: str
    sample: str
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Duration:
    """A histogram of durations; `by` as with counters."""

    name: str
    family: str
    by: tuple[str, ...] = ()


# The order is that of importance: what doesn't fit into a summary is left out from the end of its breakdown.
COUNTS = (
    Count("rollbacks", "skerry_rollbacks_total", ("model", "version", "reason")),
    Count("damagedBytes", "skerry_log_damaged_bytes_total", ("stream",), Life.LOG),
    Count("damagedBlobs", "skerry_sync_blobs_damaged_total"),
    Count("rebuiltFeatures", "skerry_feature_rebuilds_total"),
    Count("dropped", "skerry_log_dropped_total", ("stream",)),
    Count("refused", "skerry_log_refused_total", ("stream",)),
    Count("expired", "skerry_log_expired_total", ("stream",), Life.LOG),
    Count("withheld", "skerry_sync_outbound_records_total", ("outcome", "stream"), but=frozenset({"Passed"})),
    Count("predictions", "skerry_predictions_total", ("model", "version", "variant")),
    Count("accepted", "skerry_events_accepted_total", ("stream",)),
    Count("duplicates", "skerry_events_duplicates_total", ("stream",)),
    Count("rejected", "skerry_events_rejected_total", ("reason", "stream")),
    Count("turnedAway", "skerry_events_requests_refused_total", ("reason",)),
    Count("retries", "skerry_sync_failures_total", ("loop", "reason")),
    Count("downloadRetries", "skerry_sync_download_retries_total", ("reason",)),
    Count("errors", "skerry_errors_total", ("module", "reason")),
    Count("wireBytes", "skerry_sync_bytes_total", ("direction", "purpose")),
    Count("uploadedRecords", "skerry_sync_uploaded_records_total", ("tier",)),
    Count("freedBytes", "skerry_sync_freed_bytes_total", ("stream",)),
    Count("failedSyncs", "skerry_log_failed_syncs_total", ("stream",)),
    Count("failedRequests", "skerry_refused_requests_total", ("status",)),
    Count("guardrailTrips", "skerry_guardrail_trips_total", ("guardrail",)),
    Count("redacted", "skerry_events_redacted_total"),
    Count("misfits", "skerry_sync_outbound_misfits_total"),
    Count("deadLettersLost", "skerry_dead_letters_lost_total"),
    Count("featureRefused", "skerry_feature_refused_total", ("set", "reason")),
    Count("featureLate", "skerry_feature_late_total", ("set",)),
    Count("featureEvicted", "skerry_feature_evicted_total", ("set",)),
    Count("mqttFailures", "skerry_mqtt_connection_failures_total"),
    Count("mqttDropped", "skerry_mqtt_dropped_total"),
    Count("alerts", "skerry_sync_alerts_total"),
)
# Told for each process by itself.
PROCESS_COUNTS = (
    Count("cpuSeconds", "process_cpu_seconds_total"),
    Count("throttledSeconds", "skerry_container_throttled_seconds_total"),
)
PROCESS_LEVELS = (
    Level("memoryBytes", "process_resident_memory_bytes"),
    Level("memoryPeakBytes", "skerry_process_resident_memory_peak_bytes"),
    Level("containerBytes", "skerry_container_memory_bytes"),
    Level("containerLimitBytes", "skerry_container_memory_limit_bytes"),
)
LEVELS = (
    Level("logBytes", "skerry_log_bytes", ("stream",)),
    Level("logLimit", "skerry_log_limit_bytes", ("stream",)),
    Level("queueRecords", "skerry_sync_queue_records", ("tier",)),
    Level("queueBytes", "skerry_sync_queue_bytes", ("tier",)),
    Level("queueOldest", "skerry_sync_queue_oldest_seconds", ("tier",)),
    Level("held", "skerry_sync_held", ("tier", "reason")),
    Level("featureEntities", "skerry_feature_entities", ("set", "version")),
    Level("featureBytes", "skerry_feature_bytes", ("set", "version")),
    Level("featureLag", "skerry_feature_lag_seconds", ("set", "version")),
    Level("diskFree", "skerry_disk_free_bytes"),
    Level("diskCapacity", "skerry_disk_capacity_bytes"),
)
DURATIONS = (
    Duration("latency", "skerry_model_run_seconds"),
    Duration("append", "skerry_events_append_seconds"),
    Duration("lagDurable", "skerry_events_lag_seconds"),
    Duration("lagStored", "skerry_sync_lag_seconds", ("tier",)),
)

RUN_INFO = "skerry_process_info"
LOG_INFO = "skerry_log_info"
TIERS = tuple(tier.value for tier in Tier)
