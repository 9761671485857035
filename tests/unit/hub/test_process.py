"""The hub's patrol, and what tells that it doesn't get anywhere."""

import asyncio
import threading

import kopf
import pytest

from skerry_core.errors import WaitError
from skerry_operator.hub import handlers
from skerry_operator.hub.config import HubConfig
from skerry_operator.hub.process import HubProcess
from skerry_operator.kube.memory import MemoryKube
from tests.cluster.lab.waiting import wait_for
from tests.sigstore_instance.fixtures import sigstore
from tests.unit.hub.a_hub import HUB_KEY, NOW, POLICY_KEY

__all__ = ["sigstore"]


class Failing(MemoryKube):
    """Its first answers are these errors."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)

    def list(self, *args, **kwargs):
        if self.errors:
            raise self.errors.pop(0)
        return super().list(*args, **kwargs)


@pytest.fixture
def process(sigstore, tmp_path):
    def make(*errors):
        config = HubConfig(
            store_uri=f"file://{tmp_path}",
            access=None,
            public_endpoint="",
            trusted_root=sigstore.trusted_root_json,
            policy_key=POLICY_KEY.public_pem,
            hub_key=HUB_KEY.private_pem,
        )
        return HubProcess(config, Failing(*errors), lambda: NOW)

    return make


class Stop(threading.Event):
    """Skips the patrol's pauses until it is set."""

    def wait(self, timeout=None):
        return super().wait(0 if timeout is not None and timeout < 60 else timeout)


def probe(process):
    return asyncio.run(handlers.liveness(process)())


@pytest.mark.parametrize("error", [WaitError("ApiUnavailable", "no route"), KeyError("metadata")])
def test_the_patrol_survives_any_failure_and_starts_the_workers_then(process, error):
    hub, stop = process(error, error), Stop()
    with pytest.raises(kopf.PermanentError, match="workers"):
        probe(hub)
    patrol = threading.Thread(target=hub.run, args=(stop,), daemon=True)
    patrol.start()
    wait_for("the workers", lambda: hub.queue.works, seconds=10)
    assert probe(hub) == "run"
    assert patrol.is_alive()
    stop.set()
    patrol.join(10)
    assert not patrol.is_alive()
    wait_for("the workers end", lambda: not hub.queue.works, seconds=10)
    with pytest.raises(kopf.PermanentError):
        probe(hub)
