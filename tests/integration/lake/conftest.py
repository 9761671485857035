"""Lakes on real stores: a folder, and versitygw."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from skerry_core.store.key_folder import ACCESS_KEY_FILE, SECRET_KEY_FILE
from skerry_core.store.location import S3Access
from skerry_operator.ingest.lake import Lake
from tests.cluster.lab import RequirementMissingError, requirements
from tests.integration.ports import free_port
from tests.integration.store.conftest import S3Server, bucket, s3_server

__all__ = ["bucket", "s3_server"]


@dataclass(frozen=True)
class Place:
    """A lake, and what tells a process of it."""

    lake: Lake
    environment: dict[str, str]


def folder_place(root: Path) -> Place:
    root.mkdir(parents=True)
    return Place(Lake(root.as_uri()), {"SKERRY_STORE_URI": root.as_uri()})


def s3_place(server: S3Server, name: str, keys: Path, endpoint: str = "") -> Place:
    keys.mkdir(parents=True)
    (keys / ACCESS_KEY_FILE).write_text(server.access.access_key)
    (keys / SECRET_KEY_FILE).write_text(server.access.secret_key)
    uri = f"s3://{name}/in/here"
    environment = {
        "SKERRY_STORE_URI": uri,
        "SKERRY_STORE_ENDPOINT": endpoint or server.endpoint,
        "SKERRY_STORE_KEYS_DIR": str(keys),
    }
    return Place(Lake(uri, S3Access(endpoint or server.endpoint, key_folder=keys)), environment)


@pytest.fixture(params=["folder", "versitygw"])
def place(request, tmp_path) -> Place:
    if request.param == "folder":
        return folder_place(tmp_path / "store")
    server = request.getfixturevalue("s3_server")
    return s3_place(server, request.getfixturevalue("bucket"), tmp_path / "keys")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def strace():
    """See to it that this machine can kill a process at a call."""
    if shutil.which("strace"):
        return
    try:
        requirements.ensure(requirements.FAULT_COMMANDS, print)
    except RequirementMissingError as error:
        pytest.skip(str(error))
