import pytest

from skerry_edge.sync.metered import MeteredFlag


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, None),
        (b'{"metered": true}', True),
        (b'{"metered": false, "by": "modem"}', False),
        (b'{"metered": 1}', True),
        (b"{}", True),
        (b"[", True),
        (b"\xff" * 10_000, True),
    ],
)
def test_the_file_decides_and_a_mistake_costs_no_money(tmp_path, data, expected, default):
    if data is not None:
        (tmp_path / "link.json").write_bytes(data)
    assert MeteredFlag(tmp_path / "link.json", default=default)() is (default if expected is None else expected)


def test_each_look_is_a_new_one(tmp_path):
    flag = MeteredFlag(tmp_path / "link.json", default=False)
    assert not flag()
    (tmp_path / "link.json").write_bytes(b'{"metered": true}')
    assert flag()
    (tmp_path / "link.json").unlink()
    assert not flag()
