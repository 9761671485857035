import pytest

from skerry_core import digest
from skerry_core.canonical import canonical_json
from skerry_core.errors import RetryError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.sync.policy_keeper import PolicyKeeper

OTHER = DEFAULT_POLICY.model_copy(update={"streams": DEFAULT_POLICY.streams[:5]})
DATA = canonical_json(OTHER)


class World:
    def __init__(self, folder):
        self.blob = folder / "blobs/sha256" / digest.hex_of(digest.of_bytes(DATA))
        self.blob.parent.mkdir(parents=True)
        self.digest = None
        self.keeper = PolicyKeeper(folder / "blobs", lambda: self.digest, folder / "policy.json")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_everybody_is_told_once_of_each_policy(world):
    told = []
    world.keeper.tell(told.append)
    world.keeper.step()
    world.keeper.step()
    world.digest = digest.of_bytes(DATA)
    world.keeper.step()
    world.blob.write_bytes(DATA)
    world.keeper.step()
    world.keeper.step()
    assert told[-1] == OTHER
    assert told.count(OTHER) == 1
    assert world.keeper.document == OTHER


def test_a_policy_is_in_force_only_once_everybody_has_adopted_it(world):
    world.keeper.step()
    refuse = [True]

    def adopt(document):
        if document == OTHER and refuse[0]:
            raise RetryError("Injected", "not now")

    world.keeper.tell(adopt)
    world.digest = digest.of_bytes(DATA)
    world.blob.write_bytes(DATA)
    with pytest.raises(RetryError):
        world.keeper.step()
    assert world.keeper.document == DEFAULT_POLICY
    refuse[0] = False
    world.keeper.step()
    assert world.keeper.document == OTHER
