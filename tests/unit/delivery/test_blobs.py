import errno

import pytest

from skerry_core import digest
from skerry_edge.delivery.blobs import BlobFolder

DATA = b"a model"
DIGEST = digest.of_bytes(DATA)


@pytest.fixture
def blobs(tmp_path):
    return BlobFolder(tmp_path / "blobs")


def test_a_survey_sees_whole_blobs_partials_and_room(blobs):
    blobs.partial(DIGEST).write_bytes(DATA)
    assert blobs.admit(DIGEST)
    other = digest.of_bytes(b"other")
    blobs.partial(other).write_bytes(b"oth")
    found = blobs.survey()
    assert [(blob.digest, blob.size) for blob in found.blobs] == [(DIGEST, len(DATA))]
    assert dict(found.partials) == {other: 3}
    assert 0 < found.room < found.free <= found.capacity


def test_other_files_are_left_alone_and_not_counted(blobs):
    stranger = blobs.path(DIGEST).with_name("lost+found")
    stranger.write_text("not ours")
    assert blobs.survey().blobs == ()
    assert stranger.exists()


def test_bytes_with_another_digest_never_get_the_name(blobs):
    blobs.partial(DIGEST).write_bytes(DATA + b"!")
    assert not blobs.admit(DIGEST)
    assert blobs.survey().blobs == ()
    assert blobs.survey().partials == {}


def test_deleting_what_is_gone_is_no_error(blobs):
    blobs.delete(DIGEST)
    blobs.drop_partial(DIGEST)
    assert blobs.survey().blobs == ()


@pytest.mark.parametrize("name", ["sha256:../../etc/passwd", "sha256:", "md5:abc"])
def test_only_digests_name_files(blobs, name):
    with pytest.raises(ValueError, match="digest"):
        blobs.path(name)


@pytest.mark.parametrize(
    ("code", "goes"),
    [(errno.EIO, True), (errno.EBADMSG, True), (errno.EMFILE, False)],
    ids=["EIO", "EBADMSG", "EMFILE"],
)
def test_a_blob_that_the_disk_does_not_give_back_is_damaged_and_keeps_none_from_being_looked_at(
    blobs, monkeypatch, code, goes
):
    torn = digest.of_bytes(b"torn")
    blobs.partial(DIGEST).write_bytes(DATA)
    assert blobs.admit(DIGEST)
    blobs.path(torn).write_bytes(b"t")
    read = digest.of_file

    def sick(path):
        if path == blobs.path(DIGEST):
            raise OSError(code, "sick")
        return read(path)

    monkeypatch.setattr(digest, "of_file", sick)
    assert set(blobs.discard_damaged()) == ({torn, DIGEST} if goes else {torn})
    assert blobs.path(DIGEST).exists() is not goes
