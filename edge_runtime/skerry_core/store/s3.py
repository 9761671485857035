"""Any S3 server as a store, through the minio SDK. The only module that talks S3 with credentials."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit, urlunsplit
from xml.etree import ElementTree as ET

import urllib3
from minio import Minio
from minio.credentials.providers import Provider, StaticProvider
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.helpers import BaseURL, DictType, check_bucket_name
from minio.signer import get_credential_string, post_presign_v4, presign_v4
from minio.time import to_amz_date

from skerry_core import digest as digests
from skerry_core.store.errors import (
    REFUSED_CODES,
    ObjectMissingError,
    StoreAddressInvalidError,
    StoreAnswersWithPageError,
    StoreBucketMissingError,
    StoreCredentialsRefusedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from skerry_core.store.form import PostForm
from skerry_core.store.http import GuardedPool, ranged_body
from skerry_core.store.key_folder import KeyFolder
from skerry_core.store.port import ByteStream, ObjectInfo, SizedStream, check_key

_ALGORITHM = "AWS4-HMAC-SHA256"
_REFUSED_STATUS = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
_PASSING = {"InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown"}


@dataclass(frozen=True)
class S3Settings:
    """A bucket (and prefix in it) of an S3 server, and the key pair that may use it or the folder that holds it.

    The region is always given, so that signing asks the server nothing.
    """

    endpoint: str
    bucket: str
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    prefix: str = ""
    session_token: str | None = field(default=None, repr=False)
    region: str = "us-east-1"
    ca_file: Path | None = None
    key_folder: Path | None = None


class S3Store:
    """The Store port over one bucket; also signs URLs and forms that let others do one thing for a while."""

    def __init__(self, settings: S3Settings) -> None:
        """Take the settings; nothing is asked of the server yet. Raises StoreAddressInvalidError."""
        endpoint = urlsplit(settings.endpoint)
        if endpoint.scheme not in {"http", "https"} or not endpoint.netloc or endpoint.path.strip("/"):
            raise StoreAddressInvalidError(f"{settings.endpoint!r} is not an endpoint such as https://s3.example.com")
        self._settings = settings
        self._keys = _keys(settings)
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._bucket_seen = False
        try:
            check_bucket_name(settings.bucket)
            self._base = BaseURL(f"{endpoint.scheme}://{endpoint.netloc}", settings.region)
            self._client = Minio(
                endpoint.netloc,
                credentials=self._keys,
                secure=endpoint.scheme == "https",
                region=settings.region,
                http_client=GuardedPool(ca_file=settings.ca_file),
            )
        except ValueError as error:
            raise StoreAddressInvalidError(f"{settings.endpoint}, bucket {settings.bucket!r}: {error}") from error

    @property
    def uri(self) -> str:
        return f"s3://{self._settings.bucket}/{self._prefix}".rstrip("/")

    def put(self, key: str, data: bytes | ByteStream, size: int | None = None) -> None:
        stream = SizedStream(key, data, size)
        with self._converted(key):
            # One part at a time: parallel parts would hold several in memory at the hub, and gain little.
            self._client.put_object(
                self._settings.bucket, self._name(key), cast("BinaryIO", stream), stream.size, num_parallel_uploads=1
            )

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if end is not None and end <= start:
            return
        with self._converted(key):
            try:
                response = self._client.get_object(
                    self._settings.bucket, self._name(key), start, 0 if end is None else end - start
                )
            except S3Error as error:
                if error.code == "InvalidRange":
                    return
                raise
            try:
                yield from ranged_body(response, start, end)
            finally:
                response.release_conn()

    def stat(self, key: str) -> ObjectInfo | None:
        with self._converted(key):
            try:
                found = self._client.stat_object(self._settings.bucket, self._name(key))
            except S3Error as error:
                if error.code != "NoSuchKey":
                    raise
                self._require_bucket()
                return None
        return ObjectInfo(key, found.size or 0)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._converted(prefix):
            for found in self._client.list_objects(self._settings.bucket, self._prefix + prefix, recursive=True):
                # Some servers list a folder that was once made by a put of "folder/": no key of ours ends so.
                if not found.object_name.endswith("/"):
                    yield ObjectInfo(found.object_name.removeprefix(self._prefix), found.size or 0)

    def delete(self, key: str) -> None:
        with self._converted(key):
            self._client.remove_object(self._settings.bucket, self._name(key))

    def key_fingerprint(self) -> str:
        """Tell one key pair from another without showing it."""
        keys = self._keys.retrieve()
        return digests.of_bytes(f"{keys.access_key}\n{keys.secret_key}".encode())

    def presign_get(self, key: str, now: datetime, lifetime: timedelta) -> str:
        """Sign a URL that may GET (ranges too) one object until `now + lifetime`; nothing is asked of the server."""
        return self._presign(self._name(key), {}, now, lifetime)

    def presign_list(self, prefix: str, now: datetime, lifetime: timedelta) -> str:
        """Sign a URL that may list the first 1,000 keys below one prefix (ListObjectsV2) until `now + lifetime`."""
        query: DictType = {"list-type": "2", "prefix": self._prefix + prefix, "encoding-type": "url"}
        return self._presign(None, query, now, lifetime)

    def post_form(self, prefix: str, now: datetime, lifetime: timedelta, max_bytes: int) -> PostForm:
        """Sign a form that may upload objects of 1 to `max_bytes` bytes whose keys start with `prefix`.

        Fields and string to sign: AWS, "Authenticating Requests in Browser-Based Uploads Using POST (SigV4)". The
        status asked for is 201, since only then the answer names the object: a login page can't pass for it.
        """
        day, region, keys = now.astimezone(UTC), self._settings.region, self._keys.retrieve()
        fields = {
            "success_action_status": "201",
            "x-amz-algorithm": _ALGORITHM,
            "x-amz-credential": get_credential_string(keys.access_key, day, region),
            "x-amz-date": to_amz_date(day),
        }
        if keys.session_token:
            fields["x-amz-security-token"] = keys.session_token
        policy = {
            "expiration": (day + lifetime).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "conditions": [
                {"bucket": self._settings.bucket},
                ["starts-with", "$key", self._prefix + prefix],
                ["content-length-range", 1, max_bytes],
                *({name: value} for name, value in fields.items()),
            ],
        }
        encoded = base64.b64encode(json.dumps(policy).encode()).decode()
        signature = post_presign_v4(encoded, keys.secret_key, day, region)
        url = self._base.build(method="POST", region=region, bucket_name=self._settings.bucket)
        return PostForm(
            url=urlunsplit(url),
            fields={**fields, "policy": encoded, "x-amz-signature": signature},
            prefix=self._prefix + prefix,
        )

    def _presign(self, name: str | None, query: DictType, now: datetime, lifetime: timedelta) -> str:
        keys = self._keys.retrieve()
        if keys.session_token:
            query = {**query, "X-Amz-Security-Token": keys.session_token}
        region = self._settings.region
        url = self._base.build(
            method="GET", region=region, bucket_name=self._settings.bucket, object_name=name, query_params=query
        )
        signed = presign_v4(
            method="GET",
            url=url,
            region=region,
            credentials=keys,
            date=now.astimezone(UTC),
            expires=int(lifetime.total_seconds()),
        )
        return urlunsplit(signed)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _require_bucket(self) -> None:
        """Tell a missing object from a missing bucket, which a HEAD's bare 404 can't: listing raises NoSuchBucket."""
        if not self._bucket_seen:
            next(self._client.list_objects(self._settings.bucket, prefix=f"{self._prefix}bucket-seen"), None)
        self._bucket_seen = True

    @contextmanager
    def _converted(self, key: str) -> Iterator[None]:
        """Turn the SDK's errors into the store's."""
        address = self._settings.endpoint
        try:
            yield
        except S3Error as error:
            raise self._from_s3(error, key) from error
        except ServerError as error:
            raise StoreUnavailableError(f"{address} answers with HTTP status {error.status_code}") from error
        except InvalidResponseError as error:
            status: int = error._code  # noqa: SLF001 - the SDK gives the status no public name
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise StoreUnavailableError(f"{address} answers with HTTP status {status}") from error
            raise StoreAnswersWithPageError(address, f"HTTP status {status} and no XML") from error
        except (ET.ParseError, ValueError) as error:
            # Keys and settings were checked before: what the SDK can't read now is the answer.
            raise StoreAnswersWithPageError(address, f"something else ({error})") from error
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailableError(f"{address} can't be reached: {error}") from error
        except OSError as error:
            raise StoreUnavailableError(f"{address}, {key}: {error}") from error

    def _from_s3(self, error: S3Error, key: str) -> Exception:
        address, what = self._settings.endpoint, f"{error.code}: {error.message}"
        if error.code == "NoSuchKey":
            return ObjectMissingError(key)
        if error.code == "NoSuchBucket":
            return StoreBucketMissingError(address, self._settings.bucket)
        if error.code in REFUSED_CODES or error.response.status in _REFUSED_STATUS:
            return StoreCredentialsRefusedError(
                f"{address} refuses the credentials ({what}): correct the key pair, its rights or this machine's clock"
            )
        if error.code in _PASSING or error.response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return StoreUnavailableError(f"{address} answers with {what}")
        return StoreRefusedError(f"{address} refuses {key}: {what}")


def _keys(settings: S3Settings) -> Provider:
    if settings.key_folder is not None:
        return KeyFolder(settings.key_folder)
    return StaticProvider(settings.access_key, settings.secret_key, settings.session_token)
