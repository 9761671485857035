import shutil
from pathlib import Path

import pytest

from tests.cluster.lab import toolchain
from tests.cluster.lab.errors import LabError, RequirementMissingError
from tests.cluster.lab.toolchain import TOOLSETS, Toolchain, Toolset, load, minor_distance


def test_every_toolset_is_pinned_by_its_own_go_mod() -> None:
    programs = {name: sorted(load(name).packages) for name in TOOLSETS}
    assert programs == {
        "pause": ["pause"],
        "kine": ["kine"],
        "versitygw": ["versitygw"],
        "helm": ["helm"],
        "kubernetes": [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-proxy",
            "kube-scheduler",
            "kubectl",
            "kubelet",
        ],
    }
    assert load("kubernetes").version == "v1.34.4"
    assert load("helm").version == "v3.19.4"
    assert load("versitygw").version == "v1.8.0"


def test_programs_are_told_their_versions() -> None:
    assert "version.gitVersion=v1.34.4" in load("kubernetes").ldflags
    # Without these, `helm template` renders for Kubernetes 1.20.
    assert "chartutil.k8sVersionMinor=34" in load("helm").ldflags


@pytest.fixture
def toolset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolset:
    """A toolset in a folder that may be changed."""
    monkeypatch.setattr(toolchain, "_TOOLS", tmp_path / "tools")
    shutil.copytree(Path(toolchain.__file__).parent / "tools/pause", tmp_path / "tools/pause")
    return load("pause")


@pytest.mark.parametrize("changed", ["go.mod", "main.go", "go.sum"])
def test_key_follows_everything_that_goes_in(toolset: Toolset, changed: str) -> None:
    before = toolset.source_hash
    assert load("pause").source_hash == before
    with (toolset.folder / changed).open("a") as file:
        file.write("// changed\n")
    assert load("pause").source_hash != before


def test_cached_program_is_used_without_go(toolset: Toolset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "go_version", lambda: None)
    cached = tmp_path / f"cache/bin/pause-{toolset.source_hash}-go1.99.0/pause"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert Toolchain(tmp_path / "cache").ensure(["pause"], pytest.fail) == {"pause": cached}


def test_without_go_one_line_says_what_is_missing(
    toolset: Toolset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "go_version", lambda: None)
    with pytest.raises(RequirementMissingError, match=r"^Go .* is missing, to build pause: .*test-fast") as error:
        Toolchain(tmp_path / "cache").ensure(["pause"], pytest.fail)
    assert "\n" not in str(error.value)


def test_failed_build_shows_the_compilers_words_and_leaves_no_program(toolset: Toolset, tmp_path: Path) -> None:
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    (toolset.folder / "main.go").write_text("package main\nfunc main() { oops }\n")
    with pytest.raises(LabError, match="undefined: oops"):
        Toolchain(tmp_path / "cache").ensure(["pause"], lambda _: None)
    assert [path for path in (tmp_path / "cache/bin").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("v1.34.4", "v1.34.0", 0),
        ("v1.33.1", "v1.34.4", 1),
        ("v1.32.4-dispatcher", "v1.34.4", 2),
        ("v1.35.0+k3s1", "v1.34.4", 1),
        ("v2.34.0", "v1.34.4", 1000),
    ],
)
def test_minor_distance(one: str, other: str, distance: int) -> None:
    assert minor_distance(one, other) == distance
