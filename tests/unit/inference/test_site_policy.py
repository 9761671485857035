from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.inference.site_policy import SitePolicy
from tests.unit.ingest.worlds import policy, stream_policy


class World:
    def __init__(self, root):
        self.blobs, self.kept = root / "blobs", root / "sync_policy"
        (self.blobs / "sha256").mkdir(parents=True)
        self.digest = None
        self.site_policy = self.again()

    def again(self):
        return SitePolicy(self.blobs, lambda: self.digest, self.kept)

    def assign(self, document, *, bring=True):
        data = canonical_json(document.to_wire())
        self.digest = digests.of_bytes(data)
        if bring:
            (self.blobs / "sha256" / digests.hex_of(self.digest)).write_bytes(data)
        return data


def test_the_assigned_policy_then_the_last_good_one_then_the_default(tmp_path):
    world = World(tmp_path)
    assert world.site_policy.current() == DEFAULT_POLICY
    first = policy(stream_policy())
    world.assign(first)
    assert world.site_policy.current() == first
    assert world.again().current() == first
    second = policy(stream_policy("other"))
    data = world.assign(second, bring=False)
    assert world.site_policy.current() == first
    assert world.again().current() == first
    (world.blobs / "sha256" / digests.hex_of(world.digest)).write_bytes(data)
    assert world.site_policy.current() == second
    world.digest = None
    assert world.site_policy.current() == second


def test_payloads_are_those_of_the_policy_in_force(tmp_path):
    world = World(tmp_path)
    assert world.site_policy.payloads() is None
    own = DEFAULT_POLICY.stream("predictions")
    others = tuple(each for each in DEFAULT_POLICY.streams if each is not own)
    for share in (None, 0.01, 0.0, None):
        streams = (own.model_copy(update={"payloads": share}), *others)
        world.assign(DEFAULT_POLICY.model_copy(update={"streams": streams}))
        world.site_policy.current()
        assert world.site_policy.payloads() == share


def test_the_same_object_as_long_as_nothing_changes(tmp_path):
    world = World(tmp_path)
    assert world.site_policy.current() is world.site_policy.current()
    world.assign(policy(stream_policy()))
    found = world.site_policy.current()
    assert world.site_policy.current() is found
    world.digest = None
    assert world.site_policy.current() is found
