from pathlib import Path

import pytest

from tests.cluster.lab.layout import Layout
from tests.cluster.lab.poor_link import lossy, thin

LAYOUT = Layout(3, Path("/state"), Path("/cache"))
SITE = LAYOUT.cluster("site-a")


class Runs:
    """Takes commands down, and fails at the n-th, if told so; answers those that end in a text with another."""

    def __init__(self, failing: int = -1, answers: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self._failing = failing
        self._answers = answers or {}

    def __call__(self, argv: list[str]) -> str:
        if len(self.lines) == self._failing:
            self._failing = -1
            raise OSError(" ".join(argv))
        self.lines.append(" ".join(argv))
        return next((said for end, said in self._answers.items() if self.lines[-1].endswith(end)), "")


def made(kind: str, runs: Runs):
    return thin(LAYOUT, SITE, 64_000, run=runs) if kind == "thin" else lossy(SITE, 0.3, run=runs)


def test_a_thin_link_is_so_at_both_ends_of_the_cable():
    runs = Runs()
    with made("thin", runs):
        bucket = "root tbf rate 64000bit burst 4kb latency 1s"
        assert runs.lines == [
            f"tc -n skerry3-lan qdisc replace dev site-a {bucket}",
            f"tc -n skerry3-site-a qdisc replace dev eth0 {bucket}",
        ]
    assert runs.lines[2:] == [
        "tc -n skerry3-site-a qdisc del dev eth0 root",
        "tc -n skerry3-lan qdisc del dev site-a root",
    ]


def test_a_lossy_link_loses_both_ways():
    runs = Runs()
    with made("lossy", runs):
        chance = "--match statistic --mode random --probability 0.3 --jump DROP"
        table = "nsenter --net=/run/netns/skerry3-site-a iptables --wait --table mangle"
        assert runs.lines == [
            f"{table} --append POSTROUTING --out-interface eth0 {chance}",
            f"{table} --append PREROUTING --in-interface eth0 {chance}",
        ]
    assert runs.lines[2:] == [line.replace("--append", "--delete") for line in reversed(runs.lines[:2])]


def test_a_thin_link_tells_how_often_the_clusters_packets_waited():
    shown = (
        '[{"kind":"tbf","handle":"8007:","root":true,"refcnt":3,"options":{"rate":8000,"burst":4096,"lat":1000000},'
        '"bytes":15482,"packets":26,"drops":33,"overlimits":73,"requeues":0,"backlog":0,"qlen":0}]'
    )
    runs = Runs(answers={"qdisc show dev eth0 root": shown})
    with made("thin", runs) as waited:
        assert waited() == 73
    assert runs.lines[2] == "tc -n skerry3-site-a -s -json qdisc show dev eth0 root"


@pytest.mark.parametrize(("out", "came_in", "told"), [(13, 25, 13), (25, 13, 13), (0, 25, 0)])
def test_a_lossy_link_tells_how_many_were_lost_the_way_that_lost_fewer(out: int, came_in: int, told: int):
    runs = Runs(
        answers={
            "--list-rules POSTROUTING --verbose": (
                "-P POSTROUTING ACCEPT -c 50 700\n-A POSTROUTING -j OTHERS -c 7 700\n-A POSTROUTING -o eth0"
                f" -m statistic --mode random --probability 0.29999999981 -c {out} 13364 -j DROP\n"
            ),
            "--list-rules PREROUTING --verbose": (
                "-P PREROUTING ACCEPT -c 50 700\n-A PREROUTING -i eth0"
                f" -m statistic --mode random --probability 0.29999999981 -c {came_in} 1819 -j DROP\n"
            ),
        }
    )
    with made("lossy", runs) as lost:
        assert lost() == told


@pytest.mark.parametrize("share", [-0.1, 0, 1, 30])
def test_a_share_that_is_none_is_refused(share: float):
    with pytest.raises(ValueError, match="between 0 and 1"), lossy(SITE, share, run=Runs()):
        pass


@pytest.mark.parametrize("kind", ["thin", "lossy"])
def test_it_is_undone_whatever_happens_inside(kind: str):
    runs = Runs()
    with pytest.raises(KeyboardInterrupt), made(kind, runs):
        raise KeyboardInterrupt
    assert len(runs.lines) == 4


@pytest.mark.parametrize("kind", ["thin", "lossy"])
@pytest.mark.parametrize(("failing", "left"), [(0, 0), (1, 2)], ids=["first", "second"])
def test_what_was_done_before_a_command_failed_is_undone(kind: str, failing: int, left: int):
    runs = Runs(failing)
    with pytest.raises(OSError, match="site-a"), made(kind, runs):
        pytest.fail("the link isn't so")
    assert len(runs.lines) == left


@pytest.mark.parametrize("kind", ["thin", "lossy"])
def test_the_other_end_is_undone_where_one_cannot_be(kind: str):
    runs = Runs(2)
    with pytest.raises(OSError, match="site-a"), made(kind, runs):
        pass
    assert len(runs.lines) == 3
