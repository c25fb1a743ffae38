"""What a model's process has of the service and of its environment: what is configured, and nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.driver import serving
from tests.acceptance.numbered import publish

SECRETS = {
    "PENSTOCK_ADMIN_KEY": "a secret",
    "PENSTOCK_REDIS_URL": "redis://user:secret@127.0.0.1:1/0",
    "AWS_SECRET_ACCESS_KEY": "a secret",
    "DATABASE_URL": "postgres://user:secret@db/0",
    "https_proxy": "http://user:secret@127.0.0.1:1",
    "SSL_CERT_FILE": "/a/secret/place",
}
KNOWN = re.compile(
    r"PATH|HOME|LANG(UAGE)?|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|XDG_CACHE_HOME|PENSTOCK_CACHE|ORT_DISABLE_TELEMETRY"
    r"|(OMP|OPENBLAS|MKL|NUMEXPR)_NUM_THREADS|VECLIB_MAXIMUM_THREADS|(PYTHON|KMP_|LC_|CUDA_|NVIDIA_|COVERAGE_).*"
)
MEMORY = 3 * 2**30


def of_process(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text(errors="replace")


def environment_of(pid: int) -> dict[str, str]:
    return dict(line.split("=", 1) for line in of_process(pid, "environ").split("\0") if "=" in line)


def test_a_host_has_what_is_configured_and_nothing_else(tmp_path: Path) -> None:
    publish(tmp_path / "models" / "plain", "1")
    publish(tmp_path / "models" / "other", "1")
    two = ("--workers", "2", "--memory", str(MEMORY))
    with serving(tmp_path / "models", *two, cwd=tmp_path, env=SECRETS) as service:
        hosts = service.processes("host")
        assert len(hosts) == 2
        for pid in hosts:
            environment = environment_of(pid)
            assert [name for name in environment if not KNOWN.fullmatch(name)] == []
            assert not [value for value in environment.values() if "secret" in value]
            assert environment["ORT_DISABLE_TELEMETRY"] == "1"
            (limit,) = [line for line in of_process(pid, "limits").splitlines() if line.startswith("Max data size")]
            assert limit.split()[3:5] == [str(MEMORY)] * 2
            held = sorted(kinds_of_descriptors(pid))
            assert held == sorted(["/dev/null", "pipe", "pipe", "socket", "socket", "socket", "anon_inode"]), held
            assert not listening_of(pid)


def kinds_of_descriptors(pid: int) -> list[str]:
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return [link.partition(":")[0] for link in links]


def listening_of(pid: int) -> list[str]:
    """The listening sockets among its own."""
    own = {os.readlink(each)[8:-1] for each in Path(f"/proc/{pid}/fd").iterdir() if "socket:" in os.readlink(each)}
    found = []
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in of_process(pid, f"net/{table}").splitlines()[1:]]
        found += [row[1] for row in rows if row[3] == "0A" and row[9] in own]
    return found


def test_the_compiler_has_no_more_than_its_host(tmp_path: Path) -> None:
    """Told by the process itself, as it lives for a second: a class of the model's own is unpickled there, too."""
    (tmp_path / "telling.py").write_text(
        "import json, os\n"
        "from pathlib import Path\n"
        "from sklearn.linear_model import LinearRegression\n"
        "held = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if int(fd) > 2 and\n"
        "        os.path.exists(f'/proc/self/fd/{fd}')]\n"
        f"Path({str(tmp_path)!r}, f'told-{{os.getpid()}}').write_text(json.dumps([dict(os.environ), held]))\n"
        "class Line(LinearRegression): pass\n"
    )
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "import pickle, telling\n"
        "pickle.dump(telling.Line().fit([[0.0], [1.0]], [0.0, 1.0]), open('line.pkl', 'wb'))\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, check=True)
    for told in tmp_path.glob("told-*"):
        told.unlink()
    with serving(tmp_path / "line.pkl", "--code-path", tmp_path / "telling.py", cwd=tmp_path, env=SECRETS) as service:
        hosts = {str(pid) for pid in service.processes("host")}
        tellers = {file.name.removeprefix("told-"): json.loads(file.read_text()) for file in tmp_path.glob("told-*")}
    compilers = [told for pid, told in tellers.items() if pid not in hosts]
    assert len(compilers) == 1, tellers.keys()
    for environment, held in compilers:
        assert [name for name in environment if not KNOWN.fullmatch(name)] == []
        assert [link for link in held if not link.startswith(("/memfd:", "pipe:"))] == []
