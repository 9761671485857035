"""What a node offers, and whose offer is taken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from skerry_api.v1alpha1.runtimenode import FeatureSnapshot, RuntimeNodeStatus
from skerry_edge.features.adoption import AHEAD, OLDER
from skerry_edge.features.snapshots import EXPIRES
from skerry_edge.sync.neighbours.choice import Source, candidates, sources
from skerry_edge.sync.neighbours.offers import MAX_BYTES, Head, offered

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
VERSION, OTHER = ("sha256:" + digit * 64 for digit in "ab")


def micros(at):
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


HEAD = Head("a" * 64, "1" * 64, 100, micros(NOW - 5 * HOUR), micros(NOW - HOUR))
NEWER = replace(HEAD, content="2" * 64, made=micros(NOW - HOUR / 2))


@pytest.mark.parametrize(
    ("heads", "digits"),
    [
        ([], ""),
        ([HEAD], "1"),
        ([HEAD, NEWER], "2"),
        ([NEWER, HEAD], "2"),
        ([HEAD, replace(NEWER, version="b" * 64)], "12"),
        ([replace(HEAD, size=MAX_BYTES)], "1"),
        ([replace(HEAD, size=MAX_BYTES + 1)], ""),
        ([replace(HEAD, made=0)], ""),
        ([replace(HEAD, made=micros(NOW - EXPIRES))], ""),
        ([replace(HEAD, version=f"{number:064x}") for number in range(70)], "1" * 64),
    ],
)
def test_what_is_offered(heads, digits):
    assert "".join(each.digest[-1] for each in offered(heads, NOW)) == digits


def test_an_offer_says_all():
    (offer,) = offered([HEAD], NOW)
    assert offer == FeatureSnapshot(
        feature_set=VERSION,
        digest="sha256:" + "1" * 64,
        size=100,
        begun_at=NOW - 5 * HOUR,
        made_at=NOW - HOUR,
        expires_at=NOW - HOUR + EXPIRES,
    )


SNAPSHOT = offered([HEAD], NOW)[0]


def written(name, snapshots=(SNAPSHOT,), **fields):
    status = RuntimeNodeStatus(**{"site": "site-a", "address": "10.0.0.1:8082", "snapshots": snapshots} | fields)
    return {"metadata": {"name": name}, "status": status.to_wire()}


@pytest.mark.parametrize(
    ("objects", "nodes"),
    [
        ([written("a"), written("b")], ["a", "b"]),
        ([written("own"), written("b")], ["b"]),
        ([written("a", site="site-b")], []),
        ([written("a", site=None)], []),
        ([written("a", address="")], []),
        ([written("a", ())], []),
        ([{"metadata": {"name": "a"}}, {}, {"metadata": {"name": "c"}, "status": {"snapshots": 7}}], []),
        ([written("a") | {"status": {"site": "site-a", "address": "evil.example/x#:80"}}, written("b")], ["b"]),
    ],
)
def test_who_offers(objects, nodes):
    assert [source.node for source in sources(objects, "site-a", "own")] == nodes


def changed(**fields):
    return Source("a", "10.0.0.1:8082", SNAPSHOT.model_copy(update=fields))


@pytest.mark.parametrize(
    ("source", "fits"),
    [
        (changed(), True),
        (changed(feature_set=OTHER), False),
        (changed(size=MAX_BYTES + 1), False),
        (changed(made_at=NOW + AHEAD), True),
        (changed(made_at=NOW + 2 * AHEAD), False),
        (changed(expires_at=NOW), False),
        (changed(begun_at=NOW - OLDER), True),
        (changed(begun_at=NOW - OLDER + timedelta(seconds=1)), False),
    ],
)
def test_whose_would_do(source, fits):
    assert candidates(VERSION, micros(NOW), [source], NOW) == ((source,) if fits else ())


def test_who_holds_most_goes_first():
    small, large = changed(size=10), changed(size=20)
    newer = changed(size=20, made_at=NOW)
    found = candidates(VERSION, micros(NOW), [small, large, newer], NOW)
    assert found == (newer, large, small)
