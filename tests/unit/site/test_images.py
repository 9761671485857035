import pytest

from skerry_core.errors import UserMustActError
from skerry_operator.site.images import allows
from skerry_operator.site.settings import Settings

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("entry", "image", "allowed"),
    [
        ("skerry-edge:0.1.0", "skerry-edge:0.1.0", True),
        ("skerry-edge:0.1.0", "skerry-edge:0.1.00", False),
        (f"skerry-edge@{DIGEST}", f"skerry-edge@{DIGEST}", True),
        # Any tag, any digest of one repository.
        ("skerry-edge:", "skerry-edge:0.1.0", True),
        ("skerry-edge:", f"skerry-edge:0.1.0@{DIGEST}", True),
        ("skerry-edge:", f"skerry-edge@{DIGEST}", False),
        ("skerry-edge@", f"skerry-edge@{DIGEST}", True),
        ("skerry-edge:", "evil.example/skerry-edge:0.1.0", False),
        # A host of that name, with a port.
        ("skerry-edge:", "skerry-edge:5000/miner", False),
        ("mirror.test:5000/skerry-edge:", "mirror.test:5000/skerry-edge:9", True),
        # Everything in a folder.
        ("mirror.test/skerry/", "mirror.test/skerry/edge/debug:1", True),
        ("mirror.test/skerry/", "mirror.test/skerryx/edge:1", False),
        # An entry without such an ending is a whole reference, never a prefix.
        ("skerry-edge", "skerry-edge-miner:1", False),
        ("skerry-edge", "skerry-edge:1", False),
    ],
)
def test_an_entry_is_a_reference_or_ends_where_a_name_does(entry, image, allowed):
    assert allows((entry,), image) is allowed
    assert allows(("other:1", entry), image) is allowed


def test_nothing_is_allowed_by_an_empty_list():
    assert not allows((), "skerry-edge:0.1.0")


def test_the_operator_does_not_start_without_being_told_which_images():
    environment = {"SKERRY_SITE": "site-a", "SKERRY_HUB_URL": "https://hub.test:6443"}
    with pytest.raises(UserMustActError, match="SKERRY_ALLOWED_IMAGES"):
        Settings.from_environment(environment)
    told = Settings.from_environment({**environment, "SKERRY_ALLOWED_IMAGES": "skerry-edge: skerry-edge@"})
    assert told.allowed_images == ("skerry-edge:", "skerry-edge@")
