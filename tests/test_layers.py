"""The rooms of the package: who may import whom, and what no process of a kind may load.

    cli → supervisor → observability → model → config → errors
    front → interface → inference → observability → model → config → errors
    compile → host → model → errors

Each room imports only what stands below it. `front`, `host` and `compile` are processes of
their own: started, never imported by what starts them.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock

SOURCE = Path(penstock.__file__).parent

# A room and all below it.
ERRORS = ("errors",)
CONFIG = ("config", *ERRORS)
MODEL = ("model", *CONFIG)
OBSERVABILITY = ("observability", *MODEL)
MAY_IMPORT = {
    "errors": (),
    "config": ERRORS,
    "model": CONFIG,
    "observability": MODEL,
    "supervisor": OBSERVABILITY,
    "cli": ("supervisor", *OBSERVABILITY),
    "inference": OBSERVABILITY,
    "interface": ("inference", *OBSERVABILITY),
    "front": ("interface", "inference", *OBSERVABILITY),
    "host": ("model", "errors"),
    "compile": ("host", "model", "errors"),
    "testing": ("inference", *OBSERVABILITY),  # the doubles; nothing imports them but tests
}
FILES_OF_CONFIG = ("configuration", "document", "option", "redis_url", "values")
HEAVY = ("onnxruntime", "onnx", "sklearn", "joblib", "scipy", "torch", "pandas")
RUN_APART = re.compile(
    r"\.runtimes|^penstock\.__main__$|^penstock\.compile\."
)  # a host loads one runtime; the other runs when imported
NEVER_LOADED = {
    "supervisor": (("cli", "supervisor"), ("numpy", "fastapi", "starlette", "uvicorn", "pydantic", *HEAVY)),
    "front": (("front", "interface", "inference"), HEAVY),
    "host": (("host",), ("asyncio", "fastapi", "starlette", "uvicorn", *HEAVY)),
}


def room(module: str) -> str | None:
    """The room of `penstock.model.frames` is `model`. The package itself, which only holds names, is in none."""
    first = module.split(".")[1] if "." in module else None
    return "config" if first in FILES_OF_CONFIG else "cli" if first == "__main__" else first


def modules(source: Path) -> dict[str, Path]:
    """Every module below `source`, the folder of the package, by its dotted name."""
    named = {path: path.relative_to(source.parent).with_suffix("").parts for path in source.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for path, parts in named.items()}


def imported(module: str, path: Path) -> Iterator[str]:
    """The modules of this package that `module` imports, at its top or in a function."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "penstock")
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) + 1 - node.level]) + "." if node.level else ""
            base = f"{start}{node.module or ''}".strip(".")
            if base == "penstock":
                yield from (f"penstock.{alias.name}" for alias in node.names)
            elif base.startswith("penstock."):
                yield base


def trespasses(source: Path) -> list[str]:
    """Every import from a room that is not below the importer's own."""
    found = []
    for module, path in modules(source).items():
        here = room(module)
        if here is not None and here not in MAY_IMPORT:
            found.append(f"{module} is in no room")
            continue
        allowed = {None, "__version__", here, *MAY_IMPORT.get(here or "", ())}
        found += [f"{module} imports {other}" for other in imported(module, path) if room(other) not in allowed]
    return found


def test_each_room_imports_only_what_stands_below_it() -> None:
    assert trespasses(SOURCE) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("errors", "import penstock.config"),
        ("model/frames", "from penstock.inference.queue import TicketQueue"),
        ("model/frames", "from penstock import interface"),
        ("model/frames", "def late():\n    from ..host import runtimes"),
        ("host/loop", "from penstock.supervisor import loop"),
        ("supervisor/loop", "import penstock.front"),
        ("inference/engine", "from penstock.interface import app"),
        ("utils", "import os"),
    ],
)
def test_an_import_upwards_is_found(module: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "penstock" / f"{module}.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(trespasses(tmp_path / "penstock")) == 1


@pytest.mark.parametrize("process", NEVER_LOADED)
def test_a_process_never_loads_what_is_not_its_business(process: str) -> None:
    """Imports every module of its rooms in a fresh interpreter, and looks at what came with them."""
    rooms, forbidden = NEVER_LOADED[process]
    names = [name for name in modules(SOURCE) if room(name) in rooms and not RUN_APART.search(name)]
    program = "import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not {name.split(".")[0] for name in done.stdout.split()} & set(forbidden)
