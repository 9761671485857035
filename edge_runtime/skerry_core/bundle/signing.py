"""Signs a manifest with Sigstore: the one module that talks to a Fulcio and a Rekor."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import requests
from sigstore._internal.fulcio.client import FulcioClientError
from sigstore._internal.rekor import RekorClientError
from sigstore.dsse import Statement
from sigstore.errors import Error as SigstoreError
from sigstore.errors import NetworkError, TUFError, VerificationError
from sigstore.models import ClientTrustConfig
from sigstore.oidc import ExpiredIdentity, IdentityError, IdentityToken
from sigstore.sign import SigningContext

from skerry_core.bundle.statement import make_statement
from skerry_core.errors import RetryError, UserMustActError, WaitError


def sign_manifest(
    manifest: bytes, *, model: str, version: str, identity_token: str, trust_config: bytes | None
) -> bytes:
    """Sign a manifest as `<model>@<version>` and return the sigstore bundle (v0.3, JSON).

    `identity_token` is an OIDC token with audience `sigstore`; its subject becomes the signer. `trust_config` is a
    Sigstore ClientTrustConfig in JSON; None stands for the public instance.

    Raises UserMustActError `IdentityTokenInvalid`, `TrustConfigInvalid`, `SigningRefused` or `SigstoreNotTrusted`,
    WaitError `SigstoreUnreachable`, RetryError `SigstoreBusy`.
    """
    try:
        token = IdentityToken(identity_token)
    except IdentityError as error:
        raise UserMustActError(
            "IdentityTokenInvalid", f"{error}: get a fresh OIDC token with audience `sigstore`"
        ) from error
    statement = Statement(make_statement(manifest, model=model, version=version))
    config = _public_instance() if trust_config is None else _read_trust_config(trust_config)
    with _translated(), SigningContext.from_trust_config(config).signer(token) as signer:
        return signer.sign_dsse(statement).to_json().encode()


def _public_instance() -> ClientTrustConfig:
    with _translated():
        return ClientTrustConfig.production()


def _read_trust_config(trust_config: bytes) -> ClientTrustConfig:
    try:
        config = ClientTrustConfig.from_json(trust_config.decode())
        _ = config.trusted_root, config.signing_config  # parsed on access: what is malformed shows here
    except (ValueError, SigstoreError) as error:
        raise UserMustActError("TrustConfigInvalid", f"not a Sigstore client trust config: {error}") from error
    return config


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the errors of sigstore's clients into ours."""
    try:
        yield
    except ExpiredIdentity as error:
        raise UserMustActError("IdentityTokenInvalid", "the OIDC token has expired: get a fresh one") from error
    except VerificationError as error:
        raise UserMustActError(
            "SigstoreNotTrusted", f"the certificate that Fulcio returned is not of the trusted root: {error}"
        ) from error
    except (TUFError, NetworkError) as error:
        raise WaitError("SigstoreUnreachable", f"Sigstore's trusted root can't be fetched: {error}") from error
    except (FulcioClientError, RekorClientError) as error:
        raise _refused(error) from error
    except requests.JSONDecodeError as error:
        raise _not_sigstore(error) from error
    except requests.RequestException as error:
        raise WaitError("SigstoreUnreachable", f"Sigstore can't be reached: {error}") from error
    except (SigstoreError, AttributeError, LookupError, TypeError, ValueError) as error:
        # The clients take answers apart unchecked: JSON that is well-formed, but not Fulcio's or Rekor's.
        raise _not_sigstore(error) from error


def _refused(error: Exception) -> UserMustActError | RetryError | WaitError:
    """Sort Fulcio's and Rekor's errors by the HTTP answer behind them, which they keep only as cause or context."""
    behind = error.__cause__ or error.__context__
    if not isinstance(behind, requests.HTTPError) or behind.response is None:
        return _not_sigstore(error)
    answer = behind.response
    told = f"{answer.url} answered {answer.status_code}: {answer.text[:300].strip()}"
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return RetryError("SigstoreBusy", told)
    return UserMustActError("SigningRefused", told)


def _not_sigstore(error: Exception) -> WaitError:
    return WaitError("SigstoreUnreachable", f"what answered is not Sigstore (a proxy's login page?): {error!r}")
