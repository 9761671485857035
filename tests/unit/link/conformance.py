"""What every Link does, whichever way it reaches the hub."""

from typing import Protocol

import pytest

from skerry_api.v1alpha1.siteassignment import Serial, SiteAssignmentSpec, SiteAssignmentStatus
from skerry_core.errors import WaitError
from skerry_operator.link.port import Downlink, Link


def spec(n: int) -> SiteAssignmentSpec:
    return SiteAssignmentSpec(envelope=f"envelope {n}", serial=Serial(incarnation=1, n=n))


class HubEnd(Protocol):
    """The hub's side of the link under test."""

    def offer(self, assignment: SiteAssignmentSpec | None) -> None: ...

    def grant(self, content: bytes | None) -> None: ...

    def reported(self) -> SiteAssignmentStatus | None: ...


class LinkConformance:
    """Subclasses give the fixtures `hub_end` (a HubEnd, with nothing in it yet) and `link`."""

    @pytest.fixture
    def hub_end(self) -> HubEnd:
        raise NotImplementedError

    @pytest.fixture
    def link(self, hub_end: HubEnd) -> Link:
        raise NotImplementedError

    def test_nothing_at_the_hub_is_nothing(self, link):
        assert link.latest() is None
        assert link.upload_grant() is None

    def test_the_newest_assignment_comes_down_whole(self, hub_end, link):
        hub_end.offer(spec(1))
        hub_end.offer(spec(2))
        assert link.latest() == spec(2)

    def test_the_grant_comes_down_byte_for_byte(self, hub_end, link):
        hub_end.grant(b'{"expiresAt": "2026-01-01T00:00:00Z"}\n')
        assert link.upload_grant() == b'{"expiresAt": "2026-01-01T00:00:00Z"}\n'

    @pytest.mark.parametrize("what", list(Downlink))
    def test_a_watch_begins_with_an_edge_for_what_is_there(self, hub_end, link, what):
        hub_end.offer(spec(1))
        hub_end.grant(b"{}")
        edges = link.watch(what)
        assert next(edges) is None

    @pytest.mark.parametrize("what", list(Downlink))
    def test_a_watch_over_nothing_ends(self, link, what):
        assert list(link.watch(what)) == []

    def test_a_change_during_a_watch_is_an_edge(self, hub_end, link):
        hub_end.offer(spec(1))
        edges = link.watch(Downlink.ASSIGNMENT)
        next(edges)
        hub_end.offer(spec(2))
        following = link.watch(Downlink.ASSIGNMENT)
        next(following)
        assert link.latest() == spec(2)

    def test_a_report_replaces_the_one_before(self, hub_end, link):
        hub_end.offer(spec(1))
        link.report(SiteAssignmentStatus(nodes=2, nodes_ready=1))
        link.report(SiteAssignmentStatus(nodes=1))
        assert hub_end.reported() == SiteAssignmentStatus(nodes=1)

    def test_a_report_without_an_assignment_waits(self, link):
        with pytest.raises(WaitError) as caught:
            link.report(SiteAssignmentStatus())
        assert caught.value.reason == "NotAssigned"
