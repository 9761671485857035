"""A cluster's certificates and kubeconfigs, as K3s lays them out: one authority for servers, one for clients."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import ClusterSpec

_LIFETIME = dt.timedelta(days=3650)
# Backdated, so that tests which turn a client's clock back meet the clock check they mean to, not this one.
_BACKDATED = dt.timedelta(days=30)


@dataclass(frozen=True)
class _Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True)
class _Identity:
    """A client: its certificate's common name and organizations, which Kubernetes reads as user and groups."""

    user: str
    groups: tuple[str, ...] = ()


def clients(spec: ClusterSpec) -> dict[str, _Identity]:
    """Who gets a client certificate and a kubeconfig, by file name."""
    return {
        "admin": _Identity("admin", ("system:masters",)),
        "apiserver-kubelet": _Identity("kube-apiserver-kubelet-client", ("system:masters",)),
        "controller-manager": _Identity("system:kube-controller-manager"),
        "scheduler": _Identity("system:kube-scheduler"),
        "kubelet": _Identity(f"system:node:{spec.node_name}", ("system:nodes",)),
        "kube-proxy": _Identity("system:kube-proxy"),
    }


def ensure(spec: ClusterSpec) -> None:
    """Write the cluster's keys, certificates and kubeconfigs (all mode 0600), unless they are there already.

    They appear under their final name at once and whole: a run that is killed half-way leaves nothing to trip over.
    """
    if not spec.pki.exists():
        draft = spec.pki.with_name("pki.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        _write_all(spec, draft)
        draft.rename(spec.pki)
    if not spec.kubeconfig.exists():
        temporary = spec.kubeconfig.with_suffix(".draft")
        _write(temporary, (spec.pki / "admin.kubeconfig").read_bytes())
        temporary.rename(spec.kubeconfig)


def _write_all(spec: ClusterSpec, folder: Path) -> None:
    server_ca, client_ca = _authority(f"{spec.name}-server-ca"), _authority(f"{spec.name}-client-ca")
    for name, authority in (("server-ca", server_ca), ("client-ca", client_ca)):
        _write(folder / f"{name}.crt", _pem(authority.certificate))
        _write(folder / f"{name}.key", _key_pem(authority.key))
    account_key = _new_key()
    _write(folder / "service-account.key", _key_pem(account_key))
    _write(
        folder / "service-account.pub",
        account_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )

    api_names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", spec.name]
    api_addresses = [spec.address, "127.0.0.1", f"{spec.service_prefix}.1"]
    for name, names, addresses in (
        ("apiserver", api_names, api_addresses),
        ("kubelet-server", [spec.node_name], [spec.address, "127.0.0.1"]),
    ):
        key = _new_key()
        certificate = _issue(server_ca, key, _Identity(name), names=names, addresses=addresses)
        _write(folder / f"{name}.crt", _pem(certificate))
        _write(folder / f"{name}.key", _key_pem(key))

    for name, identity in clients(spec).items():
        key = _new_key()
        certificate = _issue(client_ca, key, identity)
        _write(folder / f"{name}.crt", _pem(certificate))
        _write(folder / f"{name}.key", _key_pem(key))
        _write(
            folder / f"{name}.kubeconfig",
            kubeconfig(spec.name, spec.api_url, _pem(server_ca.certificate), _pem(certificate), _key_pem(key)),
        )


def kubeconfig(name: str, server: str, ca: bytes, certificate: bytes, key: bytes) -> bytes:
    """Give a kubeconfig with one context called ``name``; all three PEMs are embedded, so it can be copied anywhere."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _b64(ca)}}],
        "users": [{"name": name, "user": {"client-certificate-data": _b64(certificate), "client-key-data": _b64(key)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False).encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _authority(name: str) -> _Authority:
    key = _new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, subject, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Authority(key, certificate)


def _issue(
    authority: _Authority,
    key: ec.EllipticCurvePrivateKey,
    identity: _Identity,
    *,
    names: list[str] | None = None,
    addresses: list[str] | None = None,
) -> x509.Certificate:
    """Sign a server certificate where ``names`` are given, else a client's."""
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in identity.groups]
        + [x509.NameAttribute(NameOID.COMMON_NAME, identity.user)]
    )
    usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(subject, authority.certificate.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    if names:
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses or []]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
