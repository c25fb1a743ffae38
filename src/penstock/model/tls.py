"""The certificate that the service is known by, and its key: read from two files, and made a context of.

Whoever has no use for TLS never imports `ssl`, which costs some megabytes.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from penstock.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

LARGEST = 2**20  # bytes; a long chain has some ten thousand
HTTP = "http/1.1"
MISMATCH = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")  # of one kind, and of two


class Pair(Struct, frozen=True):
    """A certificate, with those that vouch for it after it, and its key: both in PEM."""

    certificate: bytes
    key: bytes


def read_pair(certificate: str | None, key: str | None) -> Pair | None:
    """The pair in these two files; None where neither is named. Raises ConfigurationError, which names the file."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        there, missing = ("key", "cert") if certificate is None else ("cert", "key")
        raise ConfigurationError(f"server.tls_{there} wants server.tls_{missing} beside it: --tls-{missing} FILE")
    pair = Pair(_read(certificate), _read(key))
    if b"-----BEGIN CERTIFICATE-----" not in pair.certificate:
        raise ConfigurationError(f"{certificate}: there is no certificate in it, in PEM (-----BEGIN CERTIFICATE-----)")
    if b"PRIVATE KEY-----" not in pair.key:
        raise ConfigurationError(f"{key}: there is no private key in it, in PEM (-----BEGIN PRIVATE KEY-----)")
    try:
        context_of(pair)
    except ValueError as problem:
        raise ConfigurationError(f"{certificate} and {key}: {problem}") from None
    return pair


def context_of(pair: Pair) -> ssl.SSLContext:
    """A server's context that shows this certificate: TLS 1.2 at least. Raises ValueError."""
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # which costs the server more than who asks for it
    context.set_alpn_protocols([HTTP])
    with ExitStack() as stack:
        certificate, key = (_as_file(part, stack) for part in (pair.certificate, pair.key))
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except ssl.SSLError as problem:
            reason = (problem.reason or "OpenSSL makes nothing of them").replace("_", " ").lower()
            raise ValueError(
                "the key is not that of the certificate" if problem.reason in MISMATCH else reason
            ) from None
    return context


def fingerprint(pair: Pair) -> str:
    """The SHA-256 of the certificate itself, as `openssl x509 -fingerprint -sha256` has it, without colons."""
    import hashlib
    import ssl

    text = pair.certificate.decode("latin-1")
    begin, end = text.index("-----BEGIN CERTIFICATE-----"), text.index("-----END CERTIFICATE-----")
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f"{text[begin:end]}-----END CERTIFICATE-----")).hexdigest()


def _read(file: str) -> bytes:
    path = Path(file)
    try:
        if not path.is_file():
            raise ConfigurationError(f"{file}: {'not a file' if path.exists() else 'no such file'}")
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
    except OSError as problem:
        raise ConfigurationError(f"{file}: {(problem.strerror or 'cannot be read').lower()}") from None
    if len(data) > LARGEST:
        raise ConfigurationError(f"{file}: too large for what it should be")
    return data


def _as_file(data: bytes, stack: ExitStack) -> str:
    """The name of a file in memory: OpenSSL, as Python has it, reads certificates from nothing else."""
    descriptor = os.memfd_create("tls")
    stack.callback(os.close, descriptor)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return f"/proc/self/fd/{descriptor}"


def _no_password() -> str:
    """Without this OpenSSL would ask whoever sits at the terminal."""
    raise ValueError("the key has a password, which nobody is there to type: store it without one")
