import math

import pytest

from skerry_core.features.read import FeatureStatus
from tests.unit.features.sets import MINUTE, SECOND, T0, event, plan, values

PLAN = plan()
# Two minutes with two events each.
EVENTS = [
    event({"rms": 1.0, "state": "run", "open": True, "v": [1, 2, 3]}, T0),
    event({"rms": 2.0, "state": "run", "open": False, "v": [3, 2, 1]}, T0 + 10 * SECOND),
    event({"rms": 3.0, "state": "stop", "open": True}, T0 + MINUTE),
    event({"rms": 6.0, "state": "run", "v": [0.5, 0, 0]}, T0 + MINUTE + SECOND),
]
NOW = T0 + MINUTE + 11 * SECOND


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("count", 4.0),
        ("running", 3.0),
        ("sum", 12.0),
        ("mean", 3.0),
        ("min", 1.0),
        ("max", 6.0),
        ("std", math.sqrt(14 / 4)),
        ("last", 6.0),
        ("first", 1.0),
        ("recency", 10.0),
        ("rate", 4 / 600),
        # A minute back counts 0.5^(1/2).
        ("ewma", (9 + 3 * math.sqrt(0.5)) / (2 + 2 * math.sqrt(0.5))),
        ("states", 2.0),
        # The third of four values (rank floor(0.9 * 3)).
        ("p90", pytest.approx(3.0, rel=0.01)),
        ("histogram", (1.0, 1.0, 1.0, 1.0)),
        ("top", (3.0, 1.0)),
        ("health", 0.4),
        ("embedding", (0.5, 0.0, 0.0)),
        ("centre", (1.5, 4 / 3, 4 / 3)),
        ("squared", 50.0),
        ("opened", 2.0),
    ],
)
def test_a_window_of_two_panes(name, expected):
    found = values(PLAN, EVENTS, NOW)[name]
    assert found.status is FeatureStatus.PRESENT
    assert found.value == (pytest.approx(expected, rel=1e-15) if name == "ewma" else expected)
