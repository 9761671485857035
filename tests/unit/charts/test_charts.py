"""The charts' files among themselves; how they render is tested where there is a Helm."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.unit.charts.copy_crds import CHARTS, ROOT, wanted


def chart(name: str) -> Path:
    return ROOT / "charts" / name


def test_the_crds_are_the_generated_ones():
    copies = wanted()
    found = {path: path.read_bytes() for name in CHARTS for path in (chart(name) / "files" / "crds").iterdir()}
    assert found.keys() == copies.keys()
    assert [path for path in copies if found[path] != copies[path]] == []


def test_every_kind_is_in_a_chart():
    assert {plural for plurals in CHARTS.values() for plural in plurals} == {
        path.stem for path in (ROOT / "crds").glob("*.yaml")
    }


def test_charts_are_of_the_projects_version():
    project = (ROOT / "pyproject.toml").read_text()
    for name in CHARTS:
        described = yaml.safe_load((chart(name) / "Chart.yaml").read_text())
        assert f'version = "{described["appVersion"]}"' in project
        assert described["version"] == described["appVersion"]


def test_examples_run_images_of_the_projects_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    texts = [path.read_text() for path in (ROOT / "examples").rglob("*.yaml")]
    images = [image for text in texts for image in re.findall(r"image: (skerry-\S+)", text)]
    assert {image.partition(":")[2] for image in images} == {version}


def _paths(values, properties, prefix=""):
    for key, value in values.items():
        assert key in properties, f"{prefix}{key} is in values.yaml and not in the schema"
        if isinstance(value, dict) and "properties" in properties[key]:
            _paths(value, properties[key]["properties"], f"{prefix}{key}.")


@pytest.mark.parametrize("name", CHARTS)
def test_the_schema_knows_every_value_and_nothing_else(name):
    values = yaml.safe_load((chart(name) / "values.yaml").read_text())
    schema = json.loads((chart(name) / "values.schema.json").read_text())
    _paths(values, schema["properties"])
    assert set(schema["properties"]) == set(values)


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("function", ["lookup", "genCA", "genSelfSigned", "rand", "now", "uuidv4", "genPrivateKey"])
def test_templates_are_deterministic(name, function):
    for template in (chart(name) / "templates").rglob("*"):
        if template.is_file():
            assert f"{{{{ {function}" not in template.read_text()
            assert f"({function} " not in template.read_text()


def test_what_both_charts_share_is_the_same():
    for shared in ("_helpers.tpl", "crds.yaml"):
        texts = {(chart(name) / "templates" / shared).read_text() for name in CHARTS}
        assert len(texts) == 1


def test_dockerfiles_name_no_architecture_and_end_as_nobody():
    for dockerfile in (ROOT / "images").glob("*.Dockerfile"):
        lines = dockerfile.read_text().splitlines()
        assert not any("--platform" in line or "amd64" in line or "x86_64" in line for line in lines)
        assert "USER 65532:65532" in lines
