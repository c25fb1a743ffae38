"""The servers that Penstock is compared with, each as its documentation recommends it and with batching on.

What a peer serves lies in peers/, with the versions that it wants; its environment is a folder of its own, which
`make bench-peers` builds.
"""

from collections.abc import Iterable
from pathlib import Path

from server import free_port
from subjects import Subject
from targets import Target
from wire import BENTOML, LITSERVE, V2

SERVICES = Path(__file__).with_name("peers")
ENVIRONMENTS = SERVICES.parent.parent / ".venv-peers"


def program(peer: str, name: str = "python") -> str:
    return str(ENVIRONMENTS / peer / "bin" / name)


def litserve(_: Subject, port: int, __: Path) -> list[str]:
    return [program("litserve"), str(SERVICES / "litserve" / "service.py"), str(port)]


def bentoml(_: Subject, port: int, __: Path) -> list[str]:
    where = ["--working-dir", str(SERVICES / "bentoml"), "--host", "127.0.0.1", "--port", str(port)]
    return [program("bentoml", "bentoml"), "serve", "service:Classifier", *where]


def mlserver(subject: Subject, port: int, _: Path) -> list[str]:
    settings = {"HTTP_PORT": port, "GRPC_PORT": free_port(), "MODEL_URI": subject.pickle}
    given = [f"MLSERVER_{name}={value}" for name, value in settings.items()]
    return ["env", *given, program("mlserver", "mlserver"), "start", str(SERVICES / "mlserver")]


PEERS = {
    target.name: target
    for target in (
        Target("litserve", litserve, LITSERVE, idle=0.2, interpreter=program("litserve")),
        Target("bentoml", bentoml, BENTOML, interpreter=program("bentoml")),
        Target("mlserver", mlserver, V2, interpreter=program("mlserver")),
    )
}


def unbuilt(names: Iterable[str]) -> list[str]:
    """Those of `names` that are peers and have no environment yet."""
    return [name for name in names if name in PEERS and not (ENVIRONMENTS / name / "installed").exists()]
