"""A `python` that takes no seconds to start: what scikit-learn stands on is there already, scikit-learn itself is not.

`python FILE …` is run by a fork of one process, with the caller's own directory, environment and output; `python`
followed by an option is the interpreter itself.
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from penstock.model.leash import be_a_child

CALLER = f"""#!{sys.executable} -ISs
import os, sys
if sys.argv[1:2] == [] or sys.argv[1].startswith("-"):
    os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
import _socket, array, json
call = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
call.connect(os.path.join(os.path.dirname(__file__), "socket"))
said = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
call.sendmsg([len(said).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
call.sendall(said)
sys.exit(int(call.recv(1) or b"1"))
"""
FOUNDATIONS = ("joblib", "pandas", "scipy.ndimage", "scipy.optimize", "scipy.sparse.csgraph", "scipy.stats")


@contextlib.contextmanager
def warm(folder: Path) -> Iterator[None]:
    """Has `python` in `folder` meanwhile, for a PATH that begins with it."""
    (folder / "python").write_text(CALLER)
    (folder / "python").chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen()
        with subprocess.Popen([sys.executable, __file__], stdin=listener.fileno()) as process:
            try:
                yield
            finally:
                process.kill()


def serve() -> None:
    """Forks for each who calls."""
    be_a_child()
    for name in FOUNDATIONS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children
    listener = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    while True:
        call, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            answer(call)
        call.close()


def answer(call: socket.socket) -> None:
    """Becomes the program that is asked for, and tells its exit status at the end. Never returns."""
    head, descriptors, _, _ = socket.recv_fds(call, 4, 3)
    length = int.from_bytes(head, "big")
    words, folder, environment = json.loads(call.recv(length, socket.MSG_WAITALL))
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[:] = words
    sys.path[0] = str(Path(words[0]).parent.absolute())
    status = 0
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # as the interpreter does
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    call.sendall(b"%d" % bool(status))
    os._exit(status)


if __name__ == "__main__":
    serve()
