"""The lab as fixtures, and the rule that where it is required nothing may be skipped."""

import os
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.lab import Lab, LabCluster, LabError
from tests.cluster.lab.layout import DEFAULT_CLUSTERS

# A busy machine is no finding: examples have no deadline. In CI they are the same for the same code, so that a change
# is judged by what it changed; elsewhere every run looks somewhere else.
settings.register_profile("skerry", deadline=None, derandomize="CI" in os.environ)
settings.register_profile("fast", deadline=None, max_examples=10)  # of `make test-fast`
settings.load_profile("skerry")

ON_THE_SPARE_CLUSTER = tuple(f"tests/integration/{folder}/" for folder in ("charts", "crds", "hub", "kube", "site"))
LAB_REQUIRED = os.environ.get("SKERRY_REQUIRE_LAB") == "1"


class ByFile(LoadScopeScheduling):
    """A process takes a file at a time; all files that change the spare cluster go to one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "spare" if file.startswith(ON_THE_SPARE_CLUSTER) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """Share the tests out so for `--dist=loadfile`."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def unstarted_lab() -> Iterator[Lab]:
    """The lab, in which nothing is started for it; left as it was found."""
    lab = Lab.from_environment()
    was_up = bool(lab.clusters)
    yield lab
    if not was_up:
        lab.down()


def started(lab: Lab, clusters: Iterable[str] = DEFAULT_CLUSTERS) -> Lab:
    """The lab with these clusters and the store up; where it can't start, the test is skipped, or fails."""
    try:
        lab.up(clusters)
    except LabError as error:
        if LAB_REQUIRED:
            pytest.fail(f"the lab is required (SKERRY_REQUIRE_LAB=1) and can't start: {error}")
        pytest.skip(f"no lab: {error}")
    return lab


@pytest.fixture(scope="session")
def lab(unstarted_lab: Lab) -> Lab:
    """A hub, two sites and the store, up for the whole run."""
    return started(unstarted_lab)


@pytest.fixture(scope="session")
def hub(lab: Lab) -> LabCluster:
    return lab.clusters["hub"]


@pytest.fixture(scope="session")
def site_a(lab: Lab) -> LabCluster:
    return lab.clusters["site-a"]


@pytest.fixture(scope="session")
def site_b(lab: Lab) -> LabCluster:
    return lab.clusters["site-b"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green run with skips into a red one where the lab is required."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if LAB_REQUIRED and skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
