import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster.lab import archive, dockerfile, pipconf
from tests.cluster.lab.errors import LabError

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS build
COPY pyproject.toml \\
     README.md /src/
COPY --chown=1:1 ["with space.txt", "/src/"]
add code /src/code
# COPY comment /x
FROM ${BASE}
COPY --from=build /src /app
RUN echo COPY nothing here
"""


def test_copied_sources() -> None:
    sources = ["pyproject.toml", "README.md", "with space.txt", "code"]
    assert dockerfile.copied_sources(DOCKERFILE) == sources


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    for name in ("pyproject.toml", "README.md", "with space.txt", "code/a.py", "code/deep/b.py", "unrelated.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def key(context: Path, **settings: str) -> str:
    return dockerfile.key(context / "Dockerfile", context, settings)


@pytest.mark.parametrize("path", ["unrelated.py", "code/__pycache__/a.pyc", "code/deep/x.pyc", "code/.mypy_cache/x"])
def test_key_does_not_follow_what_stays_out(context: Path, path: str) -> None:
    before = key(context)
    (context / path).parent.mkdir(exist_ok=True)
    (context / path).write_text("changed")
    assert key(context) == before


@pytest.mark.parametrize("path", ["Dockerfile", "README.md", "with space.txt", "code/deep/b.py", "code/new.py"])
def test_key_follows_what_goes_in(context: Path, path: str) -> None:
    before = key(context)
    with (context / path).open("a") as file:
        file.write("# changed\n")
    assert key(context) != before


def test_key_follows_modes_and_settings(context: Path) -> None:
    before = key(context)
    assert key(context, tag="a:1") != before
    (context / "code/a.py").chmod(0o755)
    assert key(context) != before


def test_missing_source_is_named(context: Path) -> None:
    (context / "README.md").unlink()
    with pytest.raises(LabError, match=r"copies README\.md"):
        key(context)


@pytest.mark.parametrize(
    ("filed", "names"),
    [
        ("example.test/library/app:1", {"example.test/library/app:1", "library/app:1", "app:1"}),
        ("example.test/team/app:1", {"example.test/team/app:1", "team/app:1"}),
        ("localhost/app:1", {"localhost/app:1"}),
    ],
)
def test_names_that_an_image_may_have_been_imported_by(filed: str, names: set[str]) -> None:
    assert set(archive.names_of(filed)) == names


def test_archive_of_one_program_reads_back_and_is_reproducible(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF")
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    archive.write_single_program(first, "localhost/pause:1", program)
    archive.write_single_program(second, "localhost/pause:1", program)
    assert first.read_bytes() == second.read_bytes()
    (image,) = archive.contents(first)
    assert image.names == ("localhost/pause:1",)
    with tarfile.open(first) as tar:
        config = tar.extractfile(f"{image.config}.json")
        assert config is not None
        assert json.load(config)["config"]["Entrypoint"] == ["/pause"]


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"not a tar")
    with pytest.raises(LabError, match="is no docker archive"):
        archive.contents(tmp_path / "x.tar")


def test_pip_settings_move_into_the_build(tmp_path: Path) -> None:
    certificate, wheels = tmp_path / "ca.pem", tmp_path / "wheels"
    certificate.touch()
    wheels.mkdir()
    listing = f"""\
:env:.timeout='180'
global.cert='{certificate}'
global.index-url='https://user:secret@index.test/simple'
global.timeout='15'
install.find-links='{wheels} https://links.test/ /gone'
global.cache-dir='/home/x'
"""
    settings = pipconf.translate(pipconf.parse(listing))
    assert settings.mounts == ((certificate, "/run/skerry-pip/ca.crt"), (wheels, "/run/skerry-pip/links-0"))
    assert settings.text == (
        "[global]\n"
        "index-url = https://user:secret@index.test/simple\n"
        "timeout = 180\n"
        "cert = /run/skerry-pip/ca.crt\n"
        "find-links = /run/skerry-pip/links-0 https://links.test/\n"
    )


def test_ordinary_machine_has_nothing_to_pass_on() -> None:
    assert pipconf.translate(pipconf.parse("")) == pipconf.PipSettings("[global]\n", ())
