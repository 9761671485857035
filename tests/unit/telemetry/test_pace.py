import pytest

from skerry_api.v1alpha1.syncpolicy import OnMetered
from skerry_core.sync_policy.document import Budget
from skerry_edge.telemetry.pace import tell_seconds


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({}, 60),
        ({"bytes_per_hour": 1 << 20}, 60),
        ({"bytes_per_hour": 64 << 10}, 225),
        ({"bytes_per_hour": 4096}, 3600),
        ({"bytes_per_hour": 100}, 3600),
        ({"bytes_per_day": 24 * (64 << 10)}, 225),
        ({"bytes_per_second": 1, "bytes_per_hour": 1 << 30}, 3600),
    ],
)
def test_a_small_budget_is_not_used_up_by_summaries(limits, seconds):
    assert tell_seconds(Budget(on_metered=OnMetered.SEND, **limits)) == seconds
