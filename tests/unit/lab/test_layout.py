import ipaddress
from pathlib import Path

import pytest

from tests.cluster.lab.errors import LabError
from tests.cluster.lab.layout import Layout, cluster_index

NAMES = ["hub", *(f"site-{letter}" for letter in "abcxyz")]
IFNAMSIZ = 15


def test_defaults_lie_outside_the_checkout() -> None:
    layout = Layout.from_environment({"HOME": "/home/someone"})
    assert layout.state == Path("/var/lib/skerry-lab")
    assert layout.cache == Path("/home/someone/.cache/skerry-lab")


@pytest.mark.parametrize(
    ("environ", "cache"),
    [
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/skerry-lab"),
        ({"HOME": "/h", "XDG_CACHE_HOME": ""}, "/h/.cache/skerry-lab"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x", "SKERRY_LAB_CACHE": "/c"}, "/c"),
        ({}, "/root/.cache/skerry-lab"),
    ],
)
def test_cache_folder(environ: dict[str, str], cache: str) -> None:
    assert Layout.from_environment(environ).cache == Path(cache)


@pytest.mark.parametrize("number", ["", "10", "-1", "a"])
def test_instance_is_one_digit(number: str) -> None:
    with pytest.raises(LabError, match="must be a digit"):
        Layout.from_environment({"SKERRY_LAB_INSTANCE": number})


@pytest.mark.parametrize("name", ["", "site", "site-aa", "site-1", "hub2", "Site-a", "site-a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(LabError, match="not a cluster of the lab"):
        cluster_index(name)


def test_no_two_clusters_of_any_two_labs_share_anything() -> None:
    layouts = [Layout.from_environment({"SKERRY_LAB_INSTANCE": str(number)}) for number in range(10)]
    specs = [layout.cluster(name) for layout in layouts for name in NAMES]
    networks = [ipaddress.ip_network(layout.network) for layout in layouts]
    networks += [ipaddress.ip_network(spec.pod_cidr) for spec in specs]
    networks += [ipaddress.ip_network(f"{spec.service_prefix}.0/24") for spec in specs]
    assert not any(one.overlaps(other) for i, one in enumerate(networks) for other in networks[:i])
    for facts in ("address", "netns", "cgroup", "marker", "folder"):
        assert len({getattr(spec, facts) for spec in specs}) == len(specs)


def test_one_labs_prefix_never_matches_anothers_names() -> None:
    """``down`` finds what is its own by ``<prefix>-*`` and ``<prefix>:``."""
    layouts = [Layout.from_environment({"SKERRY_LAB_INSTANCE": str(number)}) for number in range(10)]
    for layout in layouts:
        for other in layouts:
            spec = other.cluster("site-a")
            own = layout is other
            assert spec.netns.startswith(f"{layout.prefix}-") is own
            assert spec.marker.startswith(f"{layout.prefix}:") is own


def test_link_names_fit_the_kernel() -> None:
    layout = Layout.from_environment({"SKERRY_LAB_INSTANCE": "9"})
    assert max(len(name) for name in [layout.host_link, *NAMES]) <= IFNAMSIZ
