"""The versions of what was measured, as each server's own interpreter tells them."""

import subprocess
from collections.abc import Iterable, Mapping

from report import markdown
from targets import Target

SERVERS = ("penstock", "litserve", "bentoml", "mlserver", "fastapi", "uvicorn", "uvloop")
MODELS = ("onnxruntime", "scikit-learn", "numpy")
TELL = """
import platform, sys
from importlib.metadata import PackageNotFoundError, version

found = [f"Python {platform.python_version()}"]
for name in sys.argv[1:]:
    try:
        found.append(f"{name} {version(name)}")
    except PackageNotFoundError:
        pass
print(", ".join(found))
"""


def versions(targets: Iterable[str], servers: Mapping[str, Target]) -> str:
    """A table with a row for each environment."""
    sharing: dict[str, list[str]] = {}
    for name in targets:
        sharing.setdefault(servers[name].interpreter, []).append(name)
    return markdown(("server", "versions"), ([", ".join(names), told(python)] for python, names in sharing.items()))


def told(interpreter: str) -> str:
    command = [interpreter, "-c", TELL, *SERVERS, *MODELS]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
