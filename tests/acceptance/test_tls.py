"""HTTPS by two files: everything that is said of the service over HTTP holds, also while the certificate is renewed."""

import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driver import PENSTOCK, Load, Service, penstock, serving, wait_until
from tests.acceptance.numbered import publish
from tests.certificates import Files, certificate

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def service(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    publish(folder / "m", "1")
    two = ("--workers", "2", "--drain-linger-s", "1")
    with serving(folder / "m", *files.flags, *two, cwd=folder, trust=files.trust) as running:
        yield running


def test_a_certificate_that_is_not_trusted_is_told_with_what_to_do(service: Service, files: Files) -> None:
    ours = {name: value for name, value in os.environ.items() if name != "SSL_CERT_FILE"}
    for more, hint in (
        ({}, "SSL_CERT_FILE=FILE names the authority to trust, or the certificate itself if it is self-signed"),
        ({"SSL_CERT_FILE": "nowhere.pem"}, "SSL_CERT_FILE names nowhere.pem, and there is no such file"),
    ):
        done = subprocess.run(
            [*PENSTOCK, "models", "--url", f"https://127.0.0.1:{service.port}"],
            env={**ours, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, hint in done.stderr, "--url" in done.stderr) == (1, True, False), done.stderr


@pytest.mark.needs("curl")
def test_curl_and_the_own_commands_speak_https(service: Service, files: Files) -> None:
    url = f"https://localhost:{service.port}"
    assert service.lines("listening")[0]["url"] == f"https://127.0.0.1:{service.port}"
    command = ["curl", "-sS", "--cacert", str(files.certificate), "--json", '{"features": [0.0]}', f"{url}/predict"]
    assert b'"prediction":1.0' in subprocess.run(command, capture_output=True, check=True).stdout
    vouched = {**os.environ, "SSL_CERT_FILE": str(files.certificate), "PENSTOCK_URL": url}
    told = subprocess.run([*PENSTOCK, "models"], capture_output=True, text=True, check=False, env=vouched)
    assert (told.returncode, told.stdout.startswith("m")) == (0, True), told
    strange = subprocess.run([*PENSTOCK, "models", "--url", url], capture_output=True, text=True, check=False)
    assert (strange.returncode, "its certificate is not trusted" in strange.stderr) == (1, True)
    plain = subprocess.run(
        [*PENSTOCK, "models", "--url", f"127.0.0.1:{service.port}"], capture_output=True, text=True, check=False
    )
    assert (plain.returncode, "https://… where it has a certificate" in plain.stderr) == (1, True)


def test_a_renewed_certificate_is_shown_by_all_fronts_and_nobody_notices(
    service: Service, files: Files, tmp_path: Path
) -> None:
    """Under load, on old connections and fresh ones; broken files, and fronts that are exchanged meanwhile, too."""
    new = certificate(tmp_path, "renewed")
    both = files.trust
    both.load_verify_locations(cafile=str(new.certificate))
    with Load(service, 2, [0.0], trust=both) as kept, Load(service, 2, [0.0], fresh=True, trust=both) as fresh:
        fresh.wait_for(20)
        whole = files.key.read_bytes()
        files.key.write_text("-----BEGIN PRIVATE KEY-----\nbroken off")
        assert "server.key" in service.wait_for("certificate_refused")["reason"]
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("fronts_rolled")
        files.key.write_bytes(whole)
        files.take(new)
        service.wait_for("certificate_taken")
        wait_until(lambda: {shown(service, new) for _ in range(16)} == {True}, "both fronts to show it")
        so_far = len(fresh.answers)
        fresh.wait_for(so_far + 20)
    assert (set(kept.answers), set(fresh.answers)) == ({200}, {200})
    assert kept.failures + fresh.failures == []
    assert len(service.lines("certificate_refused")) == len(service.lines("certificate_taken")) == 1
    service.trust = new.trust
    os.kill(service.processes("front")[0], signal.SIGKILL)
    service.wait_for("front_died")
    wait_until(lambda: len(service.lines("front_ready")) == 5, "a new front", service.explain)
    assert {shown(service, new) for _ in range(16)} == {True}


def shown(service: Service, files: Files) -> bool:
    """Whether a newcomer is shown this certificate."""
    seen = ssl.get_server_certificate(("127.0.0.1", service.port))
    return ssl.PEM_cert_to_DER_cert(seen) == ssl.PEM_cert_to_DER_cert(files.certificate.read_text())


def test_a_stop_under_load_loses_nobody(files: Files, tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    own = certificate(tmp_path)
    with (
        serving(tmp_path / "m", *own.flags, "--drain-linger-s", "1", cwd=tmp_path, trust=own.trust) as service,
        Load(service, 4, [0.0], trust=own.trust) as load,
    ):
        load.wait_for(50)
        assert service.end() == 0
    assert (set(load.answers), load.failures) == ({200}, [])


def test_files_that_are_no_pair_are_no_service(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    one, other = certificate(tmp_path, "one"), certificate(tmp_path, "other")
    for flags, complaint in {
        one.flags[:2]: "server.tls_cert wants server.tls_key beside it",
        (*one.flags[:2], *other.flags[2:]): "the key is not that of the certificate",
        ("--tls-cert", "none.crt", *one.flags[2:]): "none.crt: no such file",
    }.items():
        done = penstock("serve", "m", *flags, "--port", "0", cwd=tmp_path)
        assert (done.returncode, complaint in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr


@pytest.mark.parametrize(
    ("flags", "warned"), [((), True), (("--trusted-proxies", "10.0.0.1"), False), (("--tls",), False)]
)
def test_keys_in_clear_text_beyond_this_machine_are_warned_of(
    flags: tuple[str, ...], warned: bool, tmp_path: Path
) -> None:
    """What is said before anything starts, which here is nothing: the port cannot be had."""
    publish(tmp_path / "m", "1")
    penstock("key", "new", "a", cwd=tmp_path)
    said = certificate(tmp_path).flags if flags == ("--tls",) else flags
    done = penstock("serve", "m", "--keys", "penstock.keys", "--host", "192.0.2.1", *said, cwd=tmp_path)
    assert (done.returncode, "keys travel to 192.0.2.1 in clear text" in done.stderr) == (2, warned), done.stderr
