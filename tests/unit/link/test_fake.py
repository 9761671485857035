import pytest

from skerry_core.errors import RetryError
from skerry_operator.link.fake import InMemoryLink
from tests.unit.link.conformance import LinkConformance


class _End:
    def __init__(self, link):
        self._link = link

    def offer(self, assignment):
        self._link.offer(assignment)

    def grant(self, content):
        self._link.grant(content)

    def reported(self):
        return self._link.reports[-1] if self._link.reports else None


class TestInMemoryLink(LinkConformance):
    @pytest.fixture
    def link(self):
        return InMemoryLink(watch_seconds=0.01)

    @pytest.fixture
    def hub_end(self, link):
        return _End(link)


def test_a_cut_link_fails_every_call():
    link = InMemoryLink()
    link.fail_with = RetryError("Cut", "no route")
    for call in (link.latest, link.upload_grant):
        with pytest.raises(RetryError, match="no route"):
            call()
