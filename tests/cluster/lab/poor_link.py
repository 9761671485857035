"""Poor links: a cluster's cable that carries few bits a second, or loses packets, both ways.

Few bits: token buckets at both ends of the cable, at the bridge and at the cluster. Loss: rules at the cluster's end,
since a bridge's own traffic passes no packet filter. Each context manager takes back what it did, all of it, whatever
happens inside.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from .namespaces import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .layout import ClusterSpec, Layout

    Run = Callable[[list[str]], object]

# A packet and a bit; what comes in a larger piece is cut by the kernel. Up to a second's worth waits, as in a modem.
_BUCKET = ("burst", "4kb", "latency", "1s")
_WAYS = (("POSTROUTING", "--out-interface"), ("PREROUTING", "--in-interface"))


@contextmanager
def thin(layout: Layout, spec: ClusterSpec, bits_per_second: int, *, run: Run = command) -> Iterator[None]:
    """Let the cable carry so many bits a second each way. LabError if it can't be made so, or be undone."""
    with ExitStack() as undone:
        for netns, device in ((layout.lan_netns, spec.name), (spec.netns, "eth0")):
            qdisc = ["tc", "-n", netns, "qdisc"]
            run([*qdisc, "replace", "dev", device, "root", "tbf", "rate", f"{bits_per_second}bit", *_BUCKET])
            undone.callback(run, [*qdisc, "del", "dev", device, "root"])
        yield


@contextmanager
def lossy(spec: ClusterSpec, share: float, *, run: Run = command) -> Iterator[None]:
    """Lose this share of the packets each way, at random. LabError if it can't be made so, or be undone."""
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} can't be lost: use one between 0 and 1")
    with ExitStack() as undone:
        for chain, side in _WAYS:
            # Each argument by itself: iptables doesn't split all of its options at a `=`.
            table = ["nsenter", f"--net={spec.netns_path}", "iptables", "--wait", "--table", "mangle"]
            chance = ["--match", "statistic", "--mode", "random", "--probability", str(share)]
            rule = [chain, side, "eth0", *chance, "--jump", "DROP"]
            run([*table, "--append", *rule])
            undone.callback(run, [*table, "--delete", *rule])
        yield
