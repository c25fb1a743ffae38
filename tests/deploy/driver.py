"""What the examples of examples/deploy/ say, taken from the files themselves, and services run as they say."""

import json
import os
import re
import shlex
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

EXAMPLES = Path(__file__).parents[2] / "examples" / "deploy"
PROGRAMS = Path(sys.executable).parent  # of the environment that the tests run in


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def path_with_programs() -> str:
    return f"{PROGRAMS}:{os.environ['PATH']}"


class Instruction(NamedTuple):
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments of the exec form; a shell between the kernel and the program is what the examples avoid."""
        array = self.text[self.text.index("[") :]
        return [str(word) for word in json.loads(array)]


class Dockerfile:
    """The instructions of a Dockerfile, comments left out and continued lines joined."""

    def __init__(self, path: Path) -> None:
        text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip()]
        self.instructions = [Instruction(*line.split(maxsplit=1)) for line in lines]

    def all(self, name: str) -> list[Instruction]:
        return [instruction for instruction in self.instructions if instruction.name == name]

    def last(self, name: str) -> Instruction:
        return self.all(name)[-1]

    @property
    def command(self) -> list[str]:
        """What the container runs as pid 1."""
        return self.last("ENTRYPOINT").words + self.last("CMD").words

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets, but for PATH."""
        said = dict(word.split("=", 1) for each in self.all("ENV") for word in shlex.split(each.text))
        return {name: value for name, value in said.items() if name != "PATH"}


def manifest(kind: str) -> dict[str, Any]:
    """The one document of that kind in kubernetes.yaml."""
    (found,) = (each for each in yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()) if each["kind"] == kind)
    return dict(found)


def pod() -> dict[str, Any]:
    return dict(manifest("Deployment")["spec"]["template"]["spec"])


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return dict(only)


def container_environment() -> dict[str, str]:
    """What the process in the pod finds in its environment, and the tests' programs on its path.

    It listens on loopback here: the tests are no service.
    """
    said = Dockerfile(EXAMPLES / "Dockerfile").environment | {
        each["name"]: each["value"] for each in container()["env"]
    }
    return said | {"PENSTOCK_HOST": "127.0.0.1", "PATH": path_with_programs()}
