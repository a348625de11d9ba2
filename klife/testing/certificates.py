"""Throw-away certificates, as those of a company with an authority of its own: a root that clients trust, an
intermediate that the root signed, and what the intermediate signs.

Everything is PEM, keys are PKCS#8 (EC, which takes no time to make), and a certificate's file has its chain
behind it. Only clusters with TLS import this module: `cryptography` is a package of the extra "testing".
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

HERE = ("localhost", "127.0.0.1")
_LIFE = timedelta(days=30)
_ENDED = timedelta(hours=1)


class Certificates:
    """An authority, and the files that it makes in `folder`."""

    def __init__(self, folder: Path, name: str = "klife") -> None:
        folder.mkdir()
        self._folder = folder
        self._numbers = itertools.count(1)
        self._root = _Issuer(f"{name} root", None)
        self._intermediate = _Issuer(f"{name} intermediate", self._root)
        self.ca_file: str = str(folder / "ca.pem")
        """The root: what clients trust."""
        self._write("ca.pem", self._root.pem)
        self._write("brokers-trust.pem", self._root.pem)

    def client(self, name: str = "klife", *, key_password: str | None = None, expired: bool = False) -> dict[str, str]:
        """A new certificate of a client, whom brokers call `User:CN=NAME`, and its key, as options for
        `tls=`.

        With a `key_password` the key is encrypted. Files of two calls put together are a key of another
        certificate.
        """
        certificate, key = self._intermediate.issue(name, (), ExtendedKeyUsageOID.CLIENT_AUTH, expired)
        stem = f"client-{next(self._numbers)}"
        files = {
            "cert_file": self._write(f"{stem}.pem", certificate + self._intermediate.pem),
            "key_file": self._write(f"{stem}.key", _pem(key, key_password)),
        }
        return files if key_password is None else {**files, "key_password": key_password}

    def renew_server(
        self, node_id: int, *, names: Sequence[str] = HERE, expired: bool = False, authority: Certificates | None = None
    ) -> None:
        """Give a broker another certificate, for these names and IP addresses, of this authority or another.
        It is used from the broker's next start.
        """
        issuer = (authority or self)._intermediate
        certificate, key = issuer.issue(f"broker {node_id}", names, ExtendedKeyUsageOID.SERVER_AUTH, expired)
        self._write(self.key_store(node_id).name, _pem(key, None) + certificate + issuer.pem)

    def trust(self, *authorities: Certificates) -> None:
        """Have brokers trust the clients of these authorities and no others, each from its next start."""
        self._write(self.trust_store.name, b"".join(authority._root.pem for authority in authorities))

    def another_authority(self) -> Certificates:
        """One that neither brokers nor clients trust."""
        number = next(self._numbers)
        return Certificates(self._folder / f"authority-{number}", f"another {number}")

    def key_store(self, node_id: int) -> Path:
        """The file that a broker has its key and its certificate from."""
        return self._folder / f"broker-{node_id}.pem"

    @property
    def trust_store(self) -> Path:
        """The file that brokers have the authorities of their clients from."""
        return self._folder / "brokers-trust.pem"

    def _write(self, name: str, pem: bytes) -> str:
        """Whole or not at all: somebody may be reading it."""
        path = self._folder / name
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(pem)
        os.replace(unfinished, path)
        return str(path)


class _Issuer:
    """Somebody who signs: the root by itself (`above` None), others by who is above them."""

    def __init__(self, name: str, above: _Issuer | None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _named(name)
        issuer = above or self
        usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        builder = (
            _builder(self.name, self.key, issuer, expired=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
        )
        self.pem = builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def issue(
        self, name: str, names: Sequence[str], purpose: ObjectIdentifier, expired: bool
    ) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
        """A certificate as PEM, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        usage = dict.fromkeys(_USAGES, False) | {"digital_signature": True}
        builder = (
            _builder(_named(name), key, self, expired)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(each) for each in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM), key


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _builder(name: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: _Issuer, expired: bool) -> x509.CertificateBuilder:
    """What all certificates have. The key identifiers are what strict checks ask for (Python 3.13's are)."""
    end = datetime.now(UTC) + (-_ENDED if expired else _LIFE)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 2 * _LIFE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey, password: str | None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
