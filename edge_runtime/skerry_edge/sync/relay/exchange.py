"""What a node says to the others of its site about withdrawals, and takes from what they say. Pure.

Each numbers its own and says how far it has taken each other's, so every node knows what every other one lacks: a page
of withdrawals follows each number that some node has taken last. So a node that was away finds its page when it is
back, and one that stays away holds up nobody.
"""

from collections.abc import Mapping, Sequence

from skerry_api.v1alpha1.runtimenode import MAX_NODES, MAX_PAGES, ConsentRelay, WithdrawalPage, WithdrawalsTaken
from skerry_edge.ingest.consent import Relayed
from skerry_edge.sync.outbound.consent import Taken, has_taken
from skerry_edge.sync.relay.index import Index

Peers = Mapping[str, ConsentRelay | None]
"""The other nodes by name, with what they said last; None if they never said anything."""


def pages(index: Index, node: str, peers: Peers, turn: int) -> tuple[WithdrawalPage, ...]:
    """What `node` has to say to the others.

    If they stand in more places than there is room for pages, each has its turn.
    """
    places = sorted({_taken_of(said, node, index.incarnation) for said in peers.values()}, reverse=True)
    found = [page for place in places if (page := index.page(place)) is not None]
    start = turn % len(found) if len(found) > MAX_PAGES else 0
    return tuple((found[start:] + found[:start])[:MAX_PAGES])


def taken_by_all(index: Index, node: str, peers: Peers) -> int:
    """The last number that every node has."""
    return min((_taken_of(said, node, index.incarnation) for said in peers.values()), default=index.last)


def behind(index: Index, node: str, peers: Peers) -> int:
    """How many nodes have yet to take something."""
    return sum(_taken_of(said, node, index.incarnation) < index.last for said in peers.values())


def said_taken(taken: Mapping[str, Taken], peers: Peers) -> tuple[WithdrawalsTaken, ...]:
    """How far this node has taken what those that are there told."""
    found = [
        WithdrawalsTaken(node=name, incarnation=taken[name][0], number=taken[name][1])
        for name in sorted(peers)
        if name in taken
    ]
    return tuple(found[:MAX_NODES])


def news(peers: Peers, taken: Mapping[str, Taken], waiting: Sequence[Relayed], key: str) -> list[Relayed]:
    """All that was told and isn't taken yet, each node's in its order; `waiting` is what was told before.

    A node that counts anew is heard once all that it told before is taken: else the two counts would take turns. What a
    node with another `key` says can't be told apart, so it counts as a loss.
    """
    found: dict[str, list[Relayed]] = {}
    for relayed in waiting:
        if not has_taken(taken, relayed):
            found.setdefault(relayed.node, []).append(relayed)
    for name, said in sorted(peers.items()):
        before = found.get(name, [])
        if said is None or (before and before[0].incarnation != said.incarnation):
            continue
        fresh = _after(name, said, taken)
        if fresh and said.key != key:
            fresh = [Relayed(name, said.incarnation, fresh[-1].number, None)]
        known = {relayed.number for relayed in before}
        found[name] = sorted(
            [*before, *(each for each in fresh if each.number not in known)], key=lambda each: each.number
        )
    return [relayed for name in sorted(found) for relayed in found[name]]


def _after(node: str, said: ConsentRelay, taken: Mapping[str, Taken]) -> list[Relayed]:
    """What follows the last one that was taken, if there is a page for it."""
    incarnation, number = taken.get(node, ("", 0))
    last = number if incarnation == said.incarnation else 0
    for page in said.pages:
        if page.after <= last < max((each.number for each in page.withdrawals), default=0):
            return [
                Relayed(node, said.incarnation, each.number, each.entity, frozenset(each.data_classes))
                for each in sorted(page.withdrawals, key=lambda each: each.number)
                if each.number > last
            ]
    return []


def _taken_of(said: ConsentRelay | None, node: str, incarnation: str) -> int:
    """The last number of `node` that the one who said this has taken."""
    for taken in () if said is None else said.taken:
        if taken.node == node and taken.incarnation == incarnation:
            return taken.number
    return 0
