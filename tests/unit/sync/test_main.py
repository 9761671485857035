import json

import pytest
import structlog

from skerry_edge.sync.__main__ import configure_logs
from skerry_edge.telemetry.error_classes import ErrorClasses


@pytest.fixture
def logs(capsys):
    """What has been logged since, as the container's log has it."""
    configure_logs(ErrorClasses())
    yield lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    structlog.reset_defaults()


def fail(bearer: str) -> None:
    raise RuntimeError(f"{len(bearer)} characters were too many")


def test_a_traceback_tells_where_and_never_what_variables_held(logs):
    try:
        fail("secret-token")
    except RuntimeError:
        structlog.get_logger().exception("step failed", reason="Unexpected")
    (told,) = logs()
    (raised,) = told["exception"]
    assert (raised["exc_type"], raised["exc_value"]) == ("RuntimeError", "12 characters were too many")
    assert raised["frames"][-1]["name"] == "fail"
    assert "secret-token" not in json.dumps(told)
