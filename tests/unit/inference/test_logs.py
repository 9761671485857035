"""What the process writes to its own log."""

import json

import structlog

from skerry_edge.inference.__main__ import configure_logs
from skerry_edge.telemetry.error_classes import ErrorClasses


def test_tracebacks_show_no_request(capsys):
    def handle(body: str) -> int:
        return int(body)

    configure_logs(ErrorClasses())
    try:
        handle("heart rate")
    except ValueError:
        structlog.get_logger().exception("handler failed")
    finally:
        structlog.reset_defaults()
    (trace,) = json.loads(capsys.readouterr().out)["exception"]
    assert [frame["name"] for frame in trace["frames"]][-1] == "handle"
    assert not any("locals" in frame for frame in trace["frames"])
