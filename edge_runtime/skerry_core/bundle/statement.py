"""The in-toto statement that a release's author signs: this manifest is `<model>@<version>`.

Source: https://github.com/in-toto/attestation/blob/v1.1.0/spec/v1/statement.md
"""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from skerry_api.v1alpha1.fields import ApiModel
from skerry_core.bundle.manifest import PREDICATE_TYPE
from skerry_core.canonical import canonical_json
from skerry_core.trust.errors import Refusal, TrustError, refusing

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class _Subject(ApiModel):
    name: str
    digest: dict[str, str]


class _Statement(ApiModel):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    predicate_type: str
    subject: Annotated[tuple[_Subject, ...], Field(min_length=1, max_length=1)]


def subject_name(model: str, version: str) -> str:
    """The statement's subject: `<model>@<version>`."""
    return f"{model}@{version}"


def make_statement(manifest: bytes, *, model: str, version: str) -> bytes:
    """The canonical bytes of the statement about a manifest."""
    return canonical_json(
        {
            "_type": _STATEMENT_TYPE,
            "subject": [
                {
                    "name": subject_name(model, version),
                    "digest": {"sha256": hashlib.sha256(manifest).hexdigest()},
                }
            ],
            "predicateType": PREDICATE_TYPE,
            "predicate": {},
        }
    )


def check_statement(statement: bytes, manifest: bytes, *, model: str, version: str) -> None:
    """Refuse a statement that is not about this manifest, as this model and version.

    Raises TrustError `SignatureInvalid` (another kind of statement, or about other bytes) or `ManifestMismatch` (a
    good signature offered under another name).
    """
    with refusing(Refusal.SIGNATURE_INVALID, "what is signed is not an in-toto statement about one subject"):
        parsed = _Statement.model_validate_json(statement)
    if parsed.predicate_type != PREDICATE_TYPE:
        raise TrustError(
            Refusal.SIGNATURE_INVALID, f"the signed statement is a {parsed.predicate_type!r}, not a {PREDICATE_TYPE!r}"
        )
    subject = parsed.subject[0]
    if subject.digest.get("sha256") != hashlib.sha256(manifest).hexdigest():
        raise TrustError(Refusal.SIGNATURE_INVALID, "the signature is over another manifest: the bundle was changed")
    if subject.name != subject_name(model, version):
        raise TrustError(
            Refusal.MANIFEST_MISMATCH,
            f"the signature is for {subject.name}, and was offered as {subject_name(model, version)}",
        )
