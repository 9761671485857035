import base64
import shutil
from pathlib import Path

import pytest
import yaml

from tests.cluster.lab import Lab, LabError, NotAvailableError, RequirementMissingError, contexts
from tests.cluster.lab.pki import kubeconfig

FAKE_KUBECTL = """#!/bin/sh
# Answers `config view --context=NAME` from a file, and says how it was called for anything else.
case "$*" in
  *--context=*) cat "$KUBECONFIG" ;;
  *) echo "$@" ;;
esac
"""


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A PATH with a kubectl and a helm that touch nothing, and a kubeconfig."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("kubectl", "helm"):
        (folder / name).write_text(FAKE_KUBECTL)
        (folder / name).chmod(0o755)
    config = tmp_path / "config"
    config.write_bytes(kubeconfig("mine", "https://192.0.2.7:6443", b"CA", b"CERT", b"KEY"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("KUBECONFIG", str(config))
    return {"CONTEXTS": "mine, other", "SKERRY_LAB_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        (" , ", ()),
        ("hub", ("hub",)),
        ("k3d-hub, k3d-site-a,", ("k3d-hub", "k3d-site-a")),
        ("admin@hub,site/a", ("admin@hub", "site/a")),
    ],
)
def test_names(text: str, names: tuple[str, ...]) -> None:
    assert contexts.names(text) == names


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(LabError, match="names a context twice"):
        contexts.names("hub,site-a,hub")


def test_own_clusters_are_handed_out_and_nothing_is_built(environ: dict[str, str]) -> None:
    lab = Lab.from_environment(environ)
    said: list[str] = []
    lab.up(progress=said.append)
    assert said == ["using clusters of your own: mine, other; the lab can't cut, kill or feed them"]
    assert not lab.hands
    assert list(lab.clusters) == ["mine", "other"]
    mine = lab.clusters["mine"]
    assert (mine.api_url, mine.address, mine.ca_pem) == ("https://192.0.2.7:6443", "192.0.2.7", "CA")
    assert mine.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert (
        yaml.safe_load(mine.kubeconfig.read_text())["users"][0]["user"]["client-key-data"]
        == base64.b64encode(b"KEY").decode()
    )
    assert mine.kubectl("get", "pods").stdout == f"--kubeconfig={mine.kubeconfig} get pods\n"
    assert mine.helm("list").stdout == f"--kubeconfig={mine.kubeconfig} list\n"
    assert not (lab.layout.cache / "bin").exists()


def test_hands_are_not_available(environ: dict[str, str]) -> None:
    lab = Lab.from_environment(environ)
    lab.up()
    mine = lab.clusters["mine"]
    for use in (
        mine.cut,
        mine.join,
        mine.kill_everything,
        mine.start,
        mine.pids,
        mine.working_sets,
        lambda: mine.exec(["true"]),
        lambda: mine.run(["true"]),
        lambda: mine.import_images(Path("image.tar")),
        lambda: lab.store,
    ):
        with pytest.raises(NotAvailableError, match=r"your own"):
            use()
    assert not mine.is_cut
    assert not mine.hands


def test_down_leaves_own_clusters_alone(environ: dict[str, str]) -> None:
    said: list[str] = []
    Lab.from_environment(environ).down(said.append)
    assert said == ["clusters of your own stay as they are"]


def test_missing_helm_is_one_line(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which
    monkeypatch.setattr(contexts.shutil, "which", lambda name: None if name == "helm" else real(name))
    with pytest.raises(RequirementMissingError, match="CONTEXTS needs helm on PATH"):
        Lab.from_environment(environ).up()


@pytest.mark.parametrize("missing", ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_store_of_ones_own_takes_address_and_keys(missing):
    given = {"AWS_ENDPOINT_URL": "https://s3.test", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert contexts.store(given) == contexts.OwnStore("https://s3.test", "id", "secret", "us-east-1")
    assert contexts.store({name: value for name, value in given.items() if name != missing}) is None
