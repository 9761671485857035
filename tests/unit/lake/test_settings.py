"""What ingest is told, and what it says when that makes no sense."""

from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from skerry_core.errors import UserMustActError
from skerry_core.store.key_folder import ACCESS_KEY_FILE, SECRET_KEY_FILE
from skerry_operator.ingest.config import IngestConfig
from skerry_operator.ingest.gaps import Patience
from skerry_operator.ingest.health import HealthServer
from skerry_operator.ingest.metrics import Metrics
from skerry_operator.ingest.upkeep import Retention

FOLDER = {"SKERRY_STORE_URI": "file:///lake"}
DAY = timedelta(days=1)


def test_defaults():
    config = IngestConfig.from_environment(FOLDER)
    assert config == IngestConfig(config.lake)
    assert (config.keep_batches, config.log_retention, config.lake.access) == (DAY, 2 * DAY, None)


def test_everything_can_be_set():
    config = IngestConfig.from_environment(
        {
            **FOLDER,
            "SKERRY_POLL_INTERVAL": "500ms",
            "SKERRY_ASK_AFTER": "10s",
            "SKERRY_LOST_AFTER": "48h",
            "SKERRY_KEEP_BATCHES": "72h",
            "SKERRY_KEEP_VERSIONS": "1h",
            "SKERRY_RETENTION_DAYS": '{"*": 365, "telemetry": 0.5}',
            "SKERRY_DASK_SCHEDULER": "tcp://dask:8786",
            "SKERRY_HEALTH_PORT": "9000",
        }
    )
    assert config.poll == timedelta(milliseconds=500)
    assert config.patience == Patience(timedelta(seconds=10), 2 * DAY)
    assert (config.keep_batches, config.keep_versions, config.log_retention) == (3 * DAY, timedelta(hours=1), 6 * DAY)
    assert config.retention == Retention(365 * DAY, (("telemetry", DAY / 2),))
    assert [config.retention.of(stream) for stream in ("telemetry", "alerts")] == [DAY / 2, 365 * DAY]
    assert (config.scheduler, config.port) == ("tcp://dask:8786", 9000)


def test_a_store_needs_its_keys(tmp_path):
    settings = {"SKERRY_STORE_URI": "s3://lake/there", "SKERRY_STORE_ENDPOINT": "https://s3.example.test"}
    with pytest.raises(UserMustActError, match="accessKey"):
        IngestConfig.from_environment({**settings, "SKERRY_STORE_KEYS_DIR": str(tmp_path)})
    (tmp_path / ACCESS_KEY_FILE).write_text("key\n")
    (tmp_path / SECRET_KEY_FILE).write_text("secret\n")
    lake = IngestConfig.from_environment({**settings, "SKERRY_STORE_KEYS_DIR": str(tmp_path)}).lake
    assert lake.table_uri("alerts") == "s3://lake/there/tables/alerts"
    assert lake.options()["AWS_ACCESS_KEY_ID"] == "key"
    assert lake.options()["AWS_ALLOW_HTTP"] == "false"
    (tmp_path / ACCESS_KEY_FILE).write_text("another")
    assert lake.options()["AWS_ACCESS_KEY_ID"] == "another"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SKERRY_STORE_URI", ""),
        ("SKERRY_POLL_INTERVAL", "5"),
        ("SKERRY_KEEP_BATCHES", "-1h"),
        ("SKERRY_RETENTION_DAYS", "30"),
        ("SKERRY_RETENTION_DAYS", '{"telemetry": -1}'),
        ("SKERRY_RETENTION_DAYS", '{"telemetry": "long"}'),
        ("SKERRY_RETENTION_DAYS", '{"telemetry": 1e300}'),
        ("SKERRY_RETENTION_DAYS", "{"),
        ("SKERRY_HEALTH_PORT", "none"),
    ],
)
def test_what_makes_no_sense_is_named(name, value):
    with pytest.raises(UserMustActError, match=name) as caught:
        IngestConfig.from_environment({**FOLDER, name: value})
    assert caught.value.reason in {"SettingInvalid", "SettingMissing"}


@pytest.mark.slow
def test_health_and_metrics_are_served():
    well = [True]
    metrics = Metrics()
    metrics.conflicted("alerts")
    server = HealthServer(0, lambda: well[0], metrics.registry)
    server.start()
    base = f"http://127.0.0.1:{server.port}"
    try:
        with urlopen(f"{base}/healthz") as answer:
            assert answer.status == 200
        with urlopen(f"{base}/metrics") as answer:
            assert b'skerry_ingest_commit_conflicts_total{stream="alerts"} 1.0' in answer.read()
        well[0] = False
        for path, status in (("/healthz", 503), ("/else", 404)):
            with pytest.raises(HTTPError) as caught:
                urlopen(f"{base}{path}")
            caught.value.close()
            assert caught.value.code == status
    finally:
        server.stop()
