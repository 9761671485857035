"""The tree keeps the shape that docs/architecture.md draws."""

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path
    for root in ("operator/skerry_operator", "edge_runtime", "crds/skerry_api")
    for path in (ROOT / root).rglob("*.py")
)


def test_the_operator_folder_does_not_shadow_the_standard_library():
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert not (ROOT / "operator" / "operator.py").exists()
    assert Path(importlib.import_module("operator").__file__).is_relative_to(Path(sys.base_prefix))


@pytest.mark.parametrize("word", ["utils", "helpers", "common", "misc"])
def test_no_module_is_named_for_nothing(word):
    assert not [path for path in MODULES if word in path.relative_to(ROOT).with_suffix("").parts]


def test_modules_stay_short():
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in MODULES}
    assert not {path: length for path, length in lengths.items() if length > 400}
