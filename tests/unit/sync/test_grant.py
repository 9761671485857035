from datetime import UTC, datetime, timedelta

import pytest

from skerry_core.errors import WaitError
from skerry_core.store.grant import StoreGrant, UploadGrant
from skerry_edge.sync.grant import GrantKeeper

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "X-Amz-Signature=deadbeef"


def grant(hours: int = 1, site: str = "site-a") -> bytes:
    url = f"http://store.example.test/bucket?{SECRET}"
    made = StoreGrant(
        site=site,
        expires_at=NOW + timedelta(hours=hours),
        blobs={"sha256:" + "a" * 64: url},
        list_url=url,
        upload=UploadGrant(url=url, fields={}, prefix=f"sites/{site}/", max_bytes=1),
    )
    return made.model_dump_json(by_alias=True).encode()


@pytest.fixture
def keeper(tmp_path):
    return GrantKeeper(tmp_path / "grant.json", "site-a")


def test_before_the_first_grant_there_is_no_store(keeper):
    with pytest.raises(WaitError) as caught:
        keeper.store()
    assert caught.value.reason == "GrantMissing"


def test_a_grant_is_kept_for_the_next_boot_and_readable_by_nobody_else(keeper, tmp_path):
    assert keeper.offer(grant())
    assert (tmp_path / "grant.json").stat().st_mode & 0o777 == 0o600
    again = GrantKeeper(tmp_path / "grant.json", "site-a")
    again.read()
    assert again.store()


@pytest.mark.parametrize(("hours", "taken"), [(2, True), (1, False), (0, True)])
def test_whatever_differs_replaces_the_grant_in_force_since_the_hub_decides(keeper, hours, taken):
    keeper.offer(grant())
    assert keeper.offer(grant(hours)) is taken


@pytest.mark.parametrize("data", [b"", b"{}", grant(site="site-b"), grant().replace(b"expiresAt", b"expires")])
def test_what_is_no_grant_for_this_site_is_refused_without_telling_what_it_says(keeper, data):
    keeper.offer(grant())
    with pytest.raises(WaitError) as caught:
        keeper.offer(data)
    assert caught.value.reason == "GrantMalformed"
    assert SECRET not in str(caught.value)
    assert keeper.store()


def test_a_damaged_file_is_passed_over_and_replaced(keeper, tmp_path):
    (tmp_path / "grant.json").write_bytes(b"{")
    keeper.read()
    assert keeper.offer(grant())
