import pytest

from tests.cluster.visitors import Visitors


@pytest.mark.parametrize("was_up", [True, False])
def test_the_last_takes_down_what_the_first_had_to_start(tmp_path, was_up):
    first, second = Visitors(tmp_path / "lab-1"), Visitors(tmp_path / "lab-1")
    first.enter(is_up=was_up)
    second.enter(is_up=True)
    assert first.leave() is False
    assert second.leave() is not was_up


def test_who_comes_when_all_have_left_goes_by_what_the_first_found(tmp_path):
    visitors = Visitors(tmp_path / "lab-1")
    visitors.enter(is_up=False)
    assert visitors.leave()
    visitors.enter(is_up=False)
    assert visitors.leave()


def test_another_run_counts_for_itself(tmp_path):
    Visitors(tmp_path / "lab-1").enter(is_up=False)
    other = Visitors(tmp_path / "lab-2")
    other.enter(is_up=False)
    assert other.leave()
