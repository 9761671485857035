import pytest

from skerry_edge.delivery.activation import Activation, read_activation
from skerry_edge.inference.activation.state import Kept
from skerry_edge.inference.kept import KeptFiles
from tests.unit.delivery.worlds import Release

OLD, NEW = Release("1.0.0", (b"old",)), Release("1.1.0", (b"new",))


def kept(**releases) -> Kept:
    return Kept(namespace="demo", model="har", served_name="har", **releases)


@pytest.mark.parametrize(
    ("releases", "expected"),
    [
        ({}, ()),
        ({"champion": NEW.ref}, (NEW.ref,)),
        ({"champion": NEW.ref, "previous": OLD.ref}, (NEW.ref, OLD.ref)),
    ],
)
def test_reads_what_inference_writes(tmp_path, releases, expected):
    KeptFiles(tmp_path / "activation").write(kept(**releases))
    champions = {"demo/har": NEW.ref.digest} if releases else {}
    assert read_activation(tmp_path / "activation") == Activation(expected, champions)


def test_before_inference_has_kept_anything_nothing_is_held(tmp_path):
    assert read_activation(tmp_path / "activation") == Activation()


def test_one_unreadable_file_makes_all_unknown(tmp_path):
    KeptFiles(tmp_path).write(kept(champion=NEW.ref))
    (tmp_path / "demo.other.json").write_bytes(b"{")
    assert read_activation(tmp_path) is None
