import os
import sys
from pathlib import Path

import pytest

from tests.cluster.lab import RequirementMissingError, __main__, requirements
from tests.cluster.lab.requirements import CLUSTER_COMMANDS, cni_folder, machine_lacks, packages_for


@pytest.mark.parametrize(
    ("platform", "user_id", "may_unshare", "words"),
    [
        ("darwin", 0, True, "needs Linux (network namespaces, cgroups); this is darwin"),
        ("win32", -1, False, "needs Linux (network namespaces, cgroups); this is win32"),
        ("linux", 1000, True, "needs root (it makes network namespaces and cgroups); this is user 1000"),
        ("linux", 0, False, "needs CAP_SYS_ADMIN"),
    ],
)
def test_one_line_says_what_is_missing_and_what_still_runs(
    platform: str, user_id: int, words: str, *, may_unshare: bool
) -> None:
    line = machine_lacks(platform, user_id, may_unshare=may_unshare)
    assert line is not None
    assert words in line
    assert "make test-fast" in line
    assert "CONTEXTS=" in line
    assert "\n" not in line


def test_root_on_linux_lacks_nothing() -> None:
    assert machine_lacks("linux", 0, may_unshare=True) is None


@pytest.mark.parametrize("verb", ["up", "down"])
def test_command_line_ends_with_three(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "argv", ["lab", verb])
    monkeypatch.setenv("SKERRY_LAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("SKERRY_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CONTEXTS", raising=False)
    assert __main__.main() == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "needs root" in said.err
    assert list(tmp_path.iterdir()) == []


def test_packages_are_named_once_and_sorted() -> None:
    assert packages_for(["runc", "ctr", "containerd"], CLUSTER_COMMANDS, cni=True) == ["containerd", "runc"]
    assert packages_for([], CLUSTER_COMMANDS, cni=False) == ["containernetworking-plugins"]


def test_without_apt_one_line_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "ensure_may_run", lambda: None)
    monkeypatch.setattr(requirements.shutil, "which", lambda _: None)
    with pytest.raises(requirements.RequirementMissingError, match="no apt-get to install them: conntrack, containerd"):
        requirements.ensure(CLUSTER_COMMANDS, pytest.fail)


def test_cni_folder_must_be_complete(tmp_path: Path) -> None:
    half, whole = tmp_path / "half", tmp_path / "whole"
    for folder, plugins in ((half, ["bridge"]), (whole, ["bridge", "host-local", "loopback", "portmap"])):
        folder.mkdir()
        for plugin in plugins:
            (folder / plugin).touch()
    assert cni_folder([str(half)]) is None
    assert cni_folder([str(half), str(whole)]) == str(whole)


@pytest.mark.parametrize(
    ("before", "after", "lines"), [("128\n", "1024\n", 1), ("1024\n", "1024\n", 0), ("8192\n", "8192\n", 0)]
)
def test_the_inotify_limit_is_only_ever_raised(tmp_path, before, after, lines):
    setting, said = tmp_path / "max_user_instances", []
    setting.write_text(before)
    requirements.ensure_inotify(said.append, setting)
    assert (setting.read_text(), len(said)) == (after, lines)


def test_an_inotify_limit_that_cannot_be_raised_is_told_in_one_line(tmp_path):
    class Fixed:
        def read_text(self):
            return "128\n"

        def write_text(self, _text):
            raise PermissionError(1, "not permitted")

    with pytest.raises(RequirementMissingError, match="max_user_instances is 128"):
        requirements.ensure_inotify(lambda _line: None, Fixed())
