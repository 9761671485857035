import shutil
import subprocess

import pytest

from tests.cluster.lab import RequirementMissingError, requirements
from tests.integration.ingest.mosquitto import Mosquitto, Publisher, describe
from tests.integration.ingest.running import RunningIngest


@pytest.fixture
def ingest(tmp_path):
    """Starts ingest over a policy, in the test's folder; again after `close` it goes on where it was."""
    started = []

    def start(policy, **options):
        started.append(RunningIngest(tmp_path / "inference", policy, **options))
        return started[-1]

    yield start
    for running in started:
        if running.is_alive:
            running.close()


@pytest.fixture(scope="session")
def mosquitto():
    """See to it that this machine has a broker."""
    if all(map(shutil.which, requirements.BROKER_COMMANDS)):
        return
    try:
        requirements.ensure(requirements.BROKER_COMMANDS, print, cni=False)
    except RequirementMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def broker(tmp_path, mosquitto):
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.stop()


@pytest.fixture
def folder(tmp_path, broker):
    return describe(tmp_path / "mqtt", broker)


@pytest.fixture
def publisher(broker):
    publisher = Publisher(broker)
    yield publisher
    publisher.close()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 32 MiB, where one may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
