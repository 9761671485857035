import json

import pytest
import structlog

from skerry_operator import log_lines


@pytest.fixture(autouse=True)
def _restored():
    yield
    structlog.reset_defaults()


def test_a_traceback_shows_where_and_never_what(capsys):
    log_lines.configure()
    hub_key = "-----BEGIN " + "PRIVATE KEY-----"
    try:
        json.loads(hub_key)
    except ValueError:
        structlog.get_logger().exception("reconcile failed unexpectedly")
    (line,) = capsys.readouterr().out.splitlines()
    entry = json.loads(line)
    assert entry["event"] == "reconcile failed unexpectedly"
    assert "test_log_lines.py" in entry["exception"]
    assert hub_key not in line
