"""A real S3 server (versitygw) of its own for these tests, on a loopback port; no cluster is needed for it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

import pytest

from skerry_core.store.location import S3Access
from skerry_core.store.s3 import S3Settings, S3Store
from tests.cluster.lab.errors import LabError
from tests.cluster.lab.layout import Layout
from tests.cluster.lab.toolchain import Toolchain
from tests.cluster.lab.waiting import wait_for
from tests.integration.ports import free_port

_ACCESS_KEY, _SECRET_KEY = "tests", "correct-horse-battery"


@dataclass
class S3Server:
    """versitygw over a folder; buckets are folders below `buckets`."""

    program: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def access(self) -> S3Access:
        return S3Access(self.endpoint, _ACCESS_KEY, _SECRET_KEY)

    def start(self) -> None:
        buckets = self.folder / "buckets"
        buckets.mkdir(exist_ok=True)
        with (self.folder / "versitygw.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.program, f"--port=127.0.0.1:{self.port}", "--health=/health", "--keep-alive", "posix", buckets],
                env={**os.environ, "ROOT_ACCESS_KEY": _ACCESS_KEY, "ROOT_SECRET_KEY": _SECRET_KEY},
                stdout=log,
                stderr=log,
            )
        wait_for("versitygw answers", self._healthy, seconds=20, log=self.folder / "versitygw.log", gone=self._gone)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def make_bucket(self, name: str) -> None:
        (self.folder / "buckets" / name).mkdir()

    def store(self, bucket: str, **other: object) -> S3Store:
        settings = {"endpoint": self.endpoint, "access_key": _ACCESS_KEY, "secret_key": _SECRET_KEY, **other}
        return S3Store(S3Settings(bucket=bucket, **settings))

    def _healthy(self) -> bool:
        try:
            with urlopen(f"{self.endpoint}/health", timeout=1) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _gone(self) -> str | None:
        return None if self.process.poll() is None else f"it exited with {self.process.returncode}"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory) -> Iterator[S3Server]:
    layout = Layout.from_environment()
    try:
        programs = Toolchain(layout.cache).ensure(["versitygw"], print)
    except LabError as error:
        if os.environ.get("SKERRY_REQUIRE_LAB") == "1":
            pytest.fail(f"the lab is required (SKERRY_REQUIRE_LAB=1) and has no S3 server: {error}")
        pytest.skip(f"no S3 server: {error}")
    server = S3Server(programs["versitygw"], tmp_path_factory.mktemp("s3"), free_port())
    server.start()
    yield server
    server.stop()


_made = iter(range(1_000_000))


@pytest.fixture
def bucket(s3_server) -> str:
    """A fresh bucket's name."""
    name = f"skerry-{next(_made)}"
    s3_server.make_bucket(name)
    return name


@pytest.fixture
def store(s3_server, bucket) -> S3Store:
    return s3_server.store(bucket)


@pytest.fixture
def now() -> datetime:
    """The real time, which a real server holds grants against."""
    return datetime.now(UTC)
