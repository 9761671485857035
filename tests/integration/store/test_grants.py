"""What a site's live grant can do at a real S3 server, and what it can't however its parts are put together."""

import base64
import json
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import pytest
import urllib3

from skerry_core.store.blobs import blob_key, put_bytes
from skerry_core.store.confinement import check_confinement
from skerry_core.store.errors import GrantExpiredError, StoreRefusedError
from skerry_core.store.grant import S3GrantIssuer
from skerry_core.store.granted import GrantedStore
from skerry_core.store.port import ObjectInfo

pytestmark = pytest.mark.lab

MODEL = bytes(range(256)) * 1024


@pytest.fixture
def blob(store):
    return put_bytes(store, MODEL)


@pytest.fixture
def grant(store, blob, now):
    """Site-a's live grant; site-b has objects of its own, and another blob is assigned to site-b alone."""
    put_bytes(store, b"site-b's model")
    store.put("sites/site-b/events/1", b"site-b's events")
    store.put("sites/site-ab/events/1", b"events of a site whose name begins like site-a's")
    return S3GrantIssuer(store, max_upload_bytes=1000).issue("site-a", [blob.digest], now)


@pytest.fixture
def everything(store):
    def snapshot():
        return {info.key: info.size for info in store.list("")}

    return snapshot


def send(method, url, **what):
    with urllib3.PoolManager(retries=False) as pool:
        return pool.request(method, url, **what)


def test_under_its_own_prefix_a_site_reads_writes_and_lists(grant, blob, store):
    site = GrantedStore(grant)
    assert b"".join(site.get(blob.digest, 0, len(MODEL))) == MODEL
    assert b"".join(site.get(blob.digest, 1000, len(MODEL))) == MODEL[1000:]
    assert list(site.get(blob.digest, len(MODEL), len(MODEL))) == []
    site.upload("events/node/0a/00000000000000000001-00000000000000000002.jsonl.zst", b"batch")
    site.upload("events/nöde +%/1", b"twice")
    site.upload("events/nöde +%/1", b"twice")
    listing = site.list_own()
    assert listing.complete
    assert set(listing.objects) == {
        ObjectInfo("events/node/0a/00000000000000000001-00000000000000000002.jsonl.zst", 5),
        ObjectInfo("events/nöde +%/1", 5),
    }
    assert b"".join(store.get("sites/site-a/events/nöde +%/1")) == b"twice"


def test_a_site_lists_the_hubs_requests_to_it_and_to_no_other(grant, store):
    for site in ("site-a", "site-b", "site-ab"):
        store.put(f"sites/{site}/resend/node/s/0a/00000000000000000001-00000000000000000002", b"")
    assert GrantedStore(grant).list_resends().objects == (
        ObjectInfo("resend/node/s/0a/00000000000000000001-00000000000000000002", 0),
    )


def with_path(url, path):
    return urlunsplit(urlsplit(url)._replace(path=path))


def with_query(url, **changes):
    """Change, add and (by None) drop query parameters; `_` in a name stands for a dash."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query |= {name.replace("_", "-"): value for name, value in changes.items()}
    return urlunsplit(
        parts._replace(query=urlencode({k: v for k, v in query.items() if v is not None}, quote_via=quote))
    )


def theirs(url, bucket):
    return with_path(url, f"/{bucket}/sites/site-b/events/1")


# URLs made of the grant's parts that would read what is not site-a's, and what the server says to each.
GETS = {
    "another path": (403, lambda mine, _, bucket: theirs(mine, bucket)),
    "a path that climbs": (
        403,
        lambda mine, _, __: with_path(mine, f"{urlsplit(mine).path}/../../../sites/site-b/events/1"),
    ),
    "an encoded path that climbs": (
        403,
        lambda mine, _, bucket: with_path(mine, f"/{bucket}/blobs/sha256/%2e%2e/%2e%2e/sites/site-b/events/1"),
    ),
    "the listing's signature": (403, lambda _, grant, bucket: theirs(grant.list_url, bucket)),
    "another blob": (403, lambda mine, _, bucket: with_path(mine, f"/{bucket}/{blob_key('sha256:' + '0' * 64)}")),
    "a longer life": (403, lambda mine, _, __: with_query(mine, X_Amz_Expires="604800")),
    "another day": (400, lambda mine, _, __: with_query(mine, X_Amz_Date="20300101T000000Z")),
    "no signature": (400, lambda mine, _, __: with_query(mine, X_Amz_Signature=None)),
    "no query": (403, lambda mine, _, bucket: theirs(mine, bucket).partition("?")[0]),
    "another query": (403, lambda mine, _, __: with_query(mine, versionId="null")),
    "the upload's signature": (
        403,
        lambda mine, grant, bucket: with_query(
            theirs(mine, bucket), X_Amz_Signature=grant.upload.fields["x-amz-signature"]
        ),
    ),
}


@pytest.mark.parametrize("way", GETS)
def test_a_site_reads_nothing_else(grant, blob, bucket, way):
    status, url = GETS[way]
    answer = send("GET", url(grant.blobs[blob.digest], grant, bucket))
    assert answer.status == status
    assert b"site-b's" not in answer.data


@pytest.mark.parametrize(("method", "status"), [("PUT", 403), ("DELETE", 403), ("HEAD", 403), ("POST", 405)])
def test_a_url_to_read_is_good_for_nothing_else(grant, blob, everything, method, status):
    before = everything()
    assert send(method, grant.blobs[blob.digest], body=b"x" if method == "PUT" else None).status == status
    assert everything() == before


LISTS = {
    "another prefix": {"prefix": "sites/site-b/"},
    "a shorter prefix": {"prefix": "sites/"},
    "a prefix without its slash": {"prefix": "sites/site-a"},
    "no prefix": {"prefix": None},
    "another start": {"start_after": "sites/site-a/x"},
    "a delimiter": {"delimiter": "/"},
    "the older listing": {"list_type": None},
    "versions": {"versions": "", "list_type": None},
    "uploads": {"uploads": "", "list_type": None},
    "the bucket's policy": {"policy": "", "list_type": None},
}


@pytest.mark.parametrize("way", LISTS)
def test_a_site_lists_nothing_else(grant, way):
    answer = send("GET", with_query(grant.list_url, **LISTS[way]))
    assert answer.status == 403
    assert b"site-b" not in answer.data.replace(b"prefix=sites%2Fsite-b", b"")


def test_a_prefix_given_twice_lists_nothing_else(grant):
    answer = send("GET", grant.list_url.replace("prefix=", "prefix=sites%2Fsite-b%2F&prefix=", 1))
    assert answer.status == 403


def post(grant, key, fields=None, data=b"forged", url=None):
    form = {**grant.upload.fields, **(fields or {}), "key": key, "file": ("x", data, "application/octet-stream")}
    return send("POST", url or grant.upload.url, fields={k: v for k, v in form.items() if v is not None})


@pytest.mark.parametrize(
    "key",
    [
        "sites/site-b/events/2",
        "sites/site-b/events/1",
        "sites/site-ab/events/2",
        "sites/site-a",
        "Sites/site-a/x",
        "/sites/site-a/x",
        "./sites/site-a/x",
        "blobs/sha256/" + "0" * 64,
        "models/har/1.0.0/bundle.json",
        " sites/site-a/x",
    ],
)
def test_a_site_uploads_nowhere_else(grant, everything, key):
    before = everything()
    assert post(grant, key).status == 403
    assert everything() == before


CLIMBING = [
    "sites/site-a/../site-b/events/2",
    "sites/site-a/../site-b/events/1",
    "sites/site-a/x/../../site-b/events/2",
    "sites/site-a/./../site-b/events/2",
    "sites/site-a/../../models/har/1.0.0/bundle.json",
]


@pytest.mark.parametrize("key", CLIMBING)
def test_a_key_that_climbs_uploads_nowhere_else(grant, everything, key):
    before = everything()
    assert post(grant, key).status == 403
    assert everything() == before


def test_the_server_passes_the_hubs_own_check(store, now, everything):
    before = everything()
    check_confinement(store, now)
    assert everything() == before


def forged_policy(grant):
    policy = json.loads(base64.b64decode(grant.upload.fields["policy"]))
    policy["conditions"][1] = ["starts-with", "$key", "sites/site-b/"]
    return base64.b64encode(json.dumps(policy).encode()).decode()


FORMS = {
    "another policy": (403, lambda grant: {"policy": forged_policy(grant)}),
    "another signature": (403, lambda _: {"x-amz-signature": "0" * 64}),
    "another day": (403, lambda _: {"x-amz-date": "20300101T000000Z"}),
    "nobody's key": (404, lambda grant: {"x-amz-credential": "nobody" + grant.upload.fields["x-amz-credential"]}),
    "a public object": (403, lambda _: {"acl": "public-read-write"}),
    "a field that isn't signed": (403, lambda _: {"x-amz-meta-owner": "site-b"}),
    "another answer": (403, lambda _: {"success_action_status": "200"}),
}


@pytest.mark.parametrize("way", FORMS)
def test_an_altered_form_uploads_nothing(grant, everything, way):
    status, fields = FORMS[way]
    before = everything()
    assert post(grant, "sites/site-a/x", fields(grant)).status == status
    assert post(grant, "sites/site-b/x", fields(grant)).status == status
    assert everything() == before


SIGNED = ("policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm")


@pytest.mark.parametrize("dropped", [*((name,) for name in SIGNED), SIGNED])
def test_a_form_that_lacks_a_part_of_its_signature_uploads_nothing(grant, everything, dropped):
    before = everything()
    assert post(grant, "sites/site-b/x", dict.fromkeys(dropped)).status == (403 if dropped == SIGNED else 400)
    assert everything() == before


def test_a_form_is_good_for_its_bucket_alone(grant, s3_server, everything):
    before = everything()
    s3_server.make_bucket("elsewhere")
    assert post(grant, "sites/site-a/x", url=f"{s3_server.endpoint}/elsewhere").status == 403
    assert everything() == before
    assert list(s3_server.store("elsewhere").list("")) == []


def test_an_upload_has_its_greatest_size(grant, everything):
    before = everything()
    assert post(grant, "sites/site-a/x", data=bytes(1001)).status == 400
    with pytest.raises(StoreRefusedError):
        GrantedStore(grant).upload("x", bytes(1001))
    assert everything() == before


def test_an_expired_grant_is_refused_and_known_as_expired(store, blob, now, everything):
    expired = S3GrantIssuer(store, lifetime=timedelta(minutes=1)).issue(
        "site-a", [blob.digest], now - timedelta(hours=1)
    )
    site = GrantedStore(expired)
    before = everything()
    for operation in (
        lambda: list(site.get(blob.digest, 0, len(MODEL))),
        site.list_own,
        lambda: site.upload("events/1", b"late"),
    ):
        with pytest.raises(GrantExpiredError) as caught:
            operation()
        assert caught.value.reason == "GrantExpired"
    assert everything() == before
