"""Certificates for tests, each its own authority, made by openssl."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

KINDS = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}


class Files(NamedTuple):
    """A certificate for this machine, and its key."""

    certificate: Path
    key: Path

    @property
    def trust(self) -> ssl.SSLContext:
        """The context of a client that trusts this certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    def take(self, other: "Files") -> None:
        """Become what the other ones are, as something that renews certificates would write them."""
        for mine, its in zip(self, other, strict=True):
            new = mine.with_suffix(".new")
            new.write_bytes(its.read_bytes())
            new.replace(mine)


def certificate(folder: Path, name: str = "server", kind: str = "ec") -> Files:
    files = Files(folder / f"{name}.crt", folder / f"{name}.key")
    kinds = ["-newkey", *KINDS[kind], "-nodes", "-keyout", str(files.key), "-out", str(files.certificate)]
    named = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *kinds, "-days", "2", *named], check=True, capture_output=True)
    return files
