"""The pair of a certificate and its key: what is none is told of by the file, before anything starts."""

import hashlib
import ssl
import subprocess
from pathlib import Path

import pytest

from penstock.errors import ConfigurationError
from penstock.model.tls import LARGEST, Pair, context_of, fingerprint, read_pair
from tests.certificates import Files, certificate

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return certificate(tmp_path_factory.mktemp("tls"))


def complaint(files: Files) -> str:
    with pytest.raises(ConfigurationError) as told:
        read_pair(str(files.certificate), str(files.key))
    return str(told.value).replace(f"{files.certificate.parent}/", "").replace(f"{files.key.parent}/", "")


def test_a_pair_becomes_a_context_that_speaks_what_is_safe(files: Files) -> None:
    pair = read_pair(str(files.certificate), str(files.key))
    assert pair == Pair(files.certificate.read_bytes(), files.key.read_bytes())
    context = context_of(pair)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE, "clients have keys and no certificates"
    assert context.options & ssl.OP_NO_RENEGOTIATION
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.decode())
    assert fingerprint(pair) == hashlib.sha256(der).hexdigest()


def test_without_either_there_is_none_and_one_wants_the_other(files: Files) -> None:
    assert read_pair(None, None) is None
    with pytest.raises(ConfigurationError, match=r"^server\.tls_cert wants server\.tls_key beside it: --tls-key FILE$"):
        read_pair(str(files.certificate), None)
    with pytest.raises(ConfigurationError, match=r"^server\.tls_key wants server\.tls_cert beside it"):
        read_pair(None, str(files.key))


def test_what_is_no_pair_is_told_of_by_its_file(files: Files, tmp_path: Path) -> None:
    other, of_another_kind = certificate(tmp_path, "other"), certificate(tmp_path, "rsa", kind="rsa")
    empty, long, locked = tmp_path / "empty", tmp_path / "long", tmp_path / "locked.key"
    empty.touch()
    long.write_bytes(files.certificate.read_bytes() + b"\n" * LARGEST)
    broken = tmp_path / "broken.crt"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in", files.key, "-out", locked],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    crt, key = files
    assert complaint(Files(tmp_path / "none", key)) == "none: no such file"
    assert complaint(Files(crt, tmp_path)) == f"{tmp_path.name}: not a file"
    assert "empty: there is no certificate in it" in complaint(Files(empty, key))
    assert "empty: there is no private key in it" in complaint(Files(crt, empty))
    assert "server.crt: there is no private key in it" in complaint(Files(crt, crt))
    assert "long: too large" in complaint(Files(long, key))
    assert "server.crt and other.key: the key is not that of the certificate" in complaint(Files(crt, other.key))
    assert "server.crt and rsa.key: the key is not that" in complaint(Files(crt, of_another_kind.key))
    assert "broken.crt and server.key: " in complaint(Files(broken, key))
    assert "locked.key: the key has a password" in complaint(Files(crt, locked))
