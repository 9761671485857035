"""Names of the objects that a site consists of; the chart `skerry-site` and the runtime use the same."""

HUB_CREDENTIAL = "hub-credential"
RUNTIME = "skerry-runtime"
INFERENCE_SERVICE = "skerry-inference"
EVENTS_SERVICE = "skerry-events"
TRUST = "skerry-trust"
LINK = "skerry-link"
MQTT = "skerry-mqtt"
PRODUCERS = "skerry-producers"
DEVICES = "skerry-devices"
OTLP = "skerry-otlp"
SALT = "skerry-salt"
RUNTIME_LABELS = {"app.kubernetes.io/name": RUNTIME, "app.kubernetes.io/part-of": "skerry"}

INFERENCE_PORT = 8080
EVIDENCE_PORT = 8081
SYNC_PORT = 8082
EVENTS_PORT = 8083
