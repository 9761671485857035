"""The images can be built for arm64: each of their dependencies, at its pinned version, has a wheel."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# The images' Debian 12 has glibc 2.36. A pip that is told of one platform takes that very tag, not the older ones.
PLATFORMS = ("manylinux2014_aarch64", *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)))


def needs(extra):
    argv = [sys.executable, "images/requirements.py", extra]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.long
@pytest.mark.parametrize("extras", [["edge"], ["operator"], ["ingest", "distributed"]], ids="-".join)
def test_every_dependency_has_an_arm64_wheel(extras, tmp_path):
    (tmp_path / "requirements.txt").write_text("".join(needs(extra) for extra in extras))
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
