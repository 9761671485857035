"""The lab as fixtures, and the rule that where it is required nothing may be skipped."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.cluster.lab import Lab, LabCluster, LabError

# A busy machine is no finding: examples have no deadline. In CI they are the same for the same code, so that a change
# is judged by what it changed; elsewhere every run looks somewhere else.
settings.register_profile("skerry", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("skerry")

LAB_REQUIRED = os.environ.get("SKERRY_REQUIRE_LAB") == "1"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A hub, two sites and the store, up for the whole run; left as it was found."""
    lab = Lab.from_environment()
    was_up = bool(lab.clusters)
    try:
        lab.up()
    except LabError as error:
        if LAB_REQUIRED:
            pytest.fail(f"the lab is required (SKERRY_REQUIRE_LAB=1) and can't start: {error}")
        pytest.skip(f"no lab: {error}")
    yield lab
    if not was_up:
        lab.down()


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
