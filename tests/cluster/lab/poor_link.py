"""Poor links: a cluster's cable that carries few bits a second, or loses packets, both ways.

Few bits: token buckets at both ends of the cable, at the bridge and at the cluster. Loss: rules at the cluster's end,
since a bridge's own traffic passes no packet filter. Each context manager takes back what it did, all of it, whatever
happens inside, and gives a count by which to see that traffic did meet it.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from .namespaces import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .layout import ClusterSpec, Layout

    Run = Callable[[list[str]], str]
    Count = Callable[[], int]

# A packet and a bit; what comes in a larger piece is cut by the kernel. Up to a second's worth waits, as in a modem.
_BUCKET = ("burst", "4kb", "latency", "1s")
_DROPPED = re.compile(r" -c ([0-9]+) [0-9]+ -j DROP$", re.MULTILINE)
_WAYS = (("POSTROUTING", "--out-interface"), ("PREROUTING", "--in-interface"))


@contextmanager
def thin(layout: Layout, spec: ClusterSpec, bits_per_second: int, *, run: Run = command) -> Iterator[Count]:
    """Let the cable carry so many bits a second each way; how often a packet of the cluster's had to wait so far.

    LabError if it can't be made so, or be undone.
    """
    with ExitStack() as undone:
        for netns, device in ((layout.lan_netns, spec.name), (spec.netns, "eth0")):
            qdisc = ["tc", "-n", netns, "qdisc"]
            run([*qdisc, "replace", "dev", device, "root", "tbf", "rate", f"{bits_per_second}bit", *_BUCKET])
            undone.callback(run, [*qdisc, "del", "dev", device, "root"])
        yield lambda: _waited(run(["tc", "-n", spec.netns, "-s", "-json", "qdisc", "show", "dev", "eth0", "root"]))


@contextmanager
def lossy(spec: ClusterSpec, share: float, *, run: Run = command) -> Iterator[Count]:
    """Lose this share of the packets each way, at random; how many were lost so far the way that lost fewer.

    ValueError if that is no share, LabError if it can't be made so, or be undone.
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} can't be lost: use one between 0 and 1")
    # Each argument by itself: iptables doesn't split all of its options at a `=`.
    table = ["nsenter", f"--net={spec.netns_path}", "iptables", "--wait", "--table", "mangle"]
    with ExitStack() as undone:
        for chain, side in _WAYS:
            chance = ["--match", "statistic", "--mode", "random", "--probability", str(share)]
            rule = [chain, side, "eth0", *chance, "--jump", "DROP"]
            run([*table, "--append", *rule])
            undone.callback(run, [*table, "--delete", *rule])
        yield lambda: min(_dropped(run([*table, "--list-rules", chain, "--verbose"])) for chain, _ in _WAYS)


def _waited(shown: str) -> int:
    """How often a token bucket had a packet wait, by what `tc -s -json` shows of it."""
    (bucket,) = json.loads(shown)
    return int(bucket["overlimits"])


def _dropped(listed: str) -> int:
    """How many packets the rules of a chain have dropped, by what `iptables --list-rules --verbose` lists."""
    return sum(int(packets) for packets in _DROPPED.findall(listed))
