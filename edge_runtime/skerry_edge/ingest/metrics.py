"""Prometheus metrics of ingest, in the registry of the process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From a server's disk to a memory card that is being erased.
_BUCKETS = (0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


class IngestMetrics:
    """Counters and gauges; labels are names of streams and fixed words only."""

    def __init__(self, registry: CollectorRegistry) -> None:
        stream = ("stream",)
        self.accepted = Counter(
            "skerry_events_accepted", "Events stored durably.", ("stream", "via"), registry=registry
        )
        self.duplicates = Counter(
            "skerry_events_duplicates", "Events that had been stored before.", ("stream", "via"), registry=registry
        )
        self.rejected = Counter(
            "skerry_events_rejected", "Events refused for what they are.", ("stream", "reason"), registry=registry
        )
        self.refused = Counter(
            "skerry_events_requests_refused",
            "Requests, or batches from a broker, that were not taken in as a whole, and why.",
            ("via", "reason"),
            registry=registry,
        )
        self.bytes = Counter("skerry_events_bytes", "Bytes of stored events.", stream, registry=registry)
        self.dedup_window = Gauge(
            "skerry_events_dedup_window_seconds",
            "How far back every producer's id is remembered now: the declared window, or less if ids are too many.",
            stream,
            registry=registry,
        )
        self.append_seconds = Histogram(
            "skerry_events_append_seconds",
            "Time until events were durable.",
            stream,
            buckets=_BUCKETS,
            registry=registry,
        )
        self.unknown_devices = Counter(
            "skerry_events_unknown_device",
            "Events stored of a device that the site's registry doesn't know, or that named none.",
            stream,
            registry=registry,
        )
        self.devices = Gauge(
            "skerry_devices", "Devices in the site's registry, and its version.", ("digest",), registry=registry
        )
        self.devices_as_of = Gauge(
            "skerry_devices_as_of_timestamp_seconds",
            "As of when the site's registry of devices is right; NaN if it doesn't tell.",
            registry=registry,
        )
        self.devices_invalid = Gauge(
            "skerry_devices_invalid",
            "1 while devices.json can't be understood, and the last good one is gone by.",
            registry=registry,
        )
        self.dead_letters_lost = Counter(
            "skerry_dead_letters_lost", "Malformed events that were not even kept as dead letters.", registry=registry
        )
        self.redactions_pending = Gauge(
            "skerry_redactions_pending", "1 while withdrawn data may still be on this node.", registry=registry
        )
        self.redacted = Counter(
            "skerry_events_redacted", "Events blanked after consent was withdrawn.", stream, registry=registry
        )
        self.mqtt_connected = Gauge(
            "skerry_mqtt_connected", "1 while the stream's session with the broker is up.", stream, registry=registry
        )
        self.mqtt_paused = Gauge(
            "skerry_mqtt_paused", "1 while the stream's messages are not acknowledged.", stream, registry=registry
        )
        self.mqtt_waiting = Gauge(
            "skerry_mqtt_waiting_bytes",
            "Messages of the stream that came and aren't stored.",
            stream,
            registry=registry,
        )
        self.mqtt_connections = Counter(
            "skerry_mqtt_connections", "Connections made to the broker.", stream, registry=registry
        )
        self.mqtt_failures = Counter(
            "skerry_mqtt_connection_failures",
            "Connections to the broker that failed or were lost.",
            stream,
            registry=registry,
        )
        self.mqtt_dropped = Counter(
            "skerry_mqtt_dropped",
            "Messages sent without a promise (QoS 0) that found no room, or with a topic that is mapped no more.",
            ("stream", "reason"),
            registry=registry,
        )
