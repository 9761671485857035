"""The folder of network namespaces, which the lab shares with whoever else has some."""

import errno

import pytest

from tests.cluster.lab.network import remove_unused


def test_a_folder_goes_once_it_is_unused(tmp_path):
    folder = tmp_path / "netns"
    folder.mkdir()
    (folder / "another-lab").touch()
    remove_unused(folder)
    (folder / "another-lab").unlink()
    remove_unused(folder)
    assert not folder.exists()
    remove_unused(folder)


@pytest.mark.parametrize(("number", "is_told"), [(errno.EBUSY, False), (errno.EACCES, True)])
def test_only_a_folder_in_use_may_stay(tmp_path, monkeypatch, number, is_told):
    def refuse(_):
        raise OSError(number, "")

    monkeypatch.setattr(type(tmp_path), "rmdir", refuse)
    if is_told:
        with pytest.raises(PermissionError):
            remove_unused(tmp_path)
    else:
        remove_unused(tmp_path)
