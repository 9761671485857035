"""The lab's own tests use instances of their own, beside the lab that all other tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.cluster.lab import Lab, RequirementMissingError
from tests.cluster.lab.images import ImageBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVE_INSTANCE = 8


def environment(instance: int) -> dict[str, str]:
    """This process's environment, changed to mean another instance with its default state folder."""
    env = {key: value for key, value in os.environ.items() if key not in ("CONTEXTS", "SKERRY_LAB_STATE")}
    return env | {"SKERRY_LAB_INSTANCE": str(instance)}


@pytest.fixture(scope="session")
def own_lab() -> Iterator[Lab]:
    """A hub and site-a of these tests' own; taken down at the end."""
    lab = Lab.from_environment(environment(LIVE_INSTANCE))
    try:
        lab.down()
        lab.up(("hub", "site-a"), progress=print)
    except RequirementMissingError as missing:
        pytest.skip(str(missing))
    yield lab
    lab.down()


DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY page.html /srv/page.html
USER 65532:65532
CMD ["python3", "-m", "http.server", "--directory", "/srv", "8080"]
"""


@pytest.fixture(scope="session")
def page_image(own_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archive of an image that serves one page on port 8080, as skerry-lab-page:1."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text("a page from a pod\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    builder = ImageBuilder(own_lab.layout.cache, print)
    return builder.build_image(folder / "Dockerfile", "skerry-lab-page:1", builder.base_image(), folder)
