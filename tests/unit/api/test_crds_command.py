"""`skerry crds`: what it writes, and how it tells drift."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from skerry_api.definition import generated_files
from skerry_operator.cli.crds import crds, drift


def run(*args: str) -> Result:
    app = typer.Typer()
    app.command()(crds)
    return CliRunner().invoke(app, args)


def test_it_prints_all_of_them_as_one_stream():
    result = run()

    assert result.exit_code == 0
    assert result.stdout.split("---\n") == list(generated_files().values())


def test_what_it_wrote_does_not_differ(tmp_path: Path):
    folder = tmp_path / "new" / "crds"

    written = run("--output", str(folder))
    (folder / "kustomization.yaml").write_text("resources: []\n")  # somebody else's
    checked = run("--check", "--output", str(folder))

    assert written.exit_code == 0
    assert {path.name for path in folder.iterdir()} == {*generated_files(), "kustomization.yaml"}
    assert (checked.exit_code, checked.stdout) == (0, "")


def test_without_a_folder_it_checks_crds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run("--output", "crds")

    assert run("--check").exit_code == 0


def test_a_changed_a_missing_and_a_left_over_file_are_drift(tmp_path: Path):
    run("--output", str(tmp_path))
    models = tmp_path / "models.yaml"
    models.write_text(models.read_text().replace("scope: Namespaced", "scope: Cluster"))
    (tmp_path / "left.yaml").write_text((tmp_path / "edgesites.yaml").read_text())
    (tmp_path / "edgesites.yaml").unlink()

    result = run("--check", "--output", str(tmp_path))

    assert result.exit_code == 1
    assert "-  scope: Cluster\n+  scope: Namespaced\n" in result.stdout
    assert "--- found/left.yaml" in result.stdout
    assert "+++ expected/edgesites.yaml" in result.stdout
    assert models.read_text().count("scope: Cluster") == 1


def test_equal_files_have_no_drift():
    assert drift({"a": "1\n"}, {"a": "1\n"}) == ""
