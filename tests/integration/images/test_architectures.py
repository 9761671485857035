"""Edge and operator images can be built for arm64: each of their dependencies, at its pinned version, has a wheel."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux2014_aarch64")


@pytest.mark.long
@pytest.mark.parametrize("extra", ["edge", "operator"])
def test_every_dependency_has_an_arm64_wheel(extra, tmp_path):
    needs = subprocess.run(
        [sys.executable, "images/requirements.py", extra], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    (tmp_path / "requirements.txt").write_text(needs)
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed",
        f"--report={tmp_path / 'report.json'}", f"--target={tmp_path / 'none'}",
        *(f"--platform={platform}" for platform in PLATFORMS),
        "--python-version=3.11", "--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none",
        "--only-binary=:all:",
        f"--constraint={ROOT / 'constraints.txt'}",
        f"--requirement={tmp_path / 'requirements.txt'}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wheels = [each["download_info"]["url"] for each in json.loads((tmp_path / "report.json").read_text())["install"]]
    assert any("aarch64" in wheel for wheel in wheels)
    assert all(wheel.endswith(".whl") for wheel in wheels)
