from skerry_core.errors import RetryError, WaitError
from skerry_operator.link.health import LinkHealth


def test_a_link_begins_as_connecting_and_is_connected_once_the_hub_has_answered():
    health = LinkHealth()
    assert (health.state.reachable, health.state.reason) == (False, "Connecting")
    health.works("credential")
    assert (health.state.reachable, health.state.reason) == (False, "Connecting")
    health.reached()
    assert health.state.reachable


def test_what_a_person_must_act_on_comes_first_then_the_credential():
    health = LinkHealth()
    health.reached()
    health.fails("assignment", WaitError("NotEnrolled", ""), stalled=False)
    health.fails("credential", WaitError("SiteNotAccepted", ""), stalled=False)
    assert health.state.reason == "SiteNotAccepted"
    health.fails("assignment", WaitError("SerialOlder", ""), stalled=True)
    assert health.state.reason == "SerialOlder"
    health.works("assignment")
    health.works("credential")
    assert health.state.reachable


def test_a_fault_that_lasts_is_news_once():
    health = LinkHealth()
    assert health.fails("report", RetryError("Cut", ""), stalled=False)
    assert not health.fails("report", RetryError("Cut", ""), stalled=False)


def test_a_credential_counts_as_refused_until_the_hub_takes_it_or_fails_in_another_way():
    health = LinkHealth()
    health.fails("credential", WaitError("Unauthorized", "the bootstrap token has expired"), stalled=False)
    health.fails("report", WaitError("Forbidden", "no right to that"), stalled=False)
    assert not health.refused
    health.fails("report", WaitError("Unauthorized", ""), stalled=False)
    health.fails("assignment", WaitError("Unauthorized", ""), stalled=False)
    assert health.refused
    health.works("report")
    assert health.refused
    health.fails("assignment", WaitError("ApiUnavailable", ""), stalled=False)
    assert not health.refused
