"""Evil artifacts: each builds itself into the directory of a version, and would leave a mark if it were let."""

import io
import json
import os
import pickle
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.numbered import constant

LOCK = "if you trust it, run: penstock lock"


class Trap(NamedTuple):
    """Where a payload leaves its mark. `elsewhere` is a directory that no model has any business in."""

    marks: Path
    listener: socket.socket
    elsewhere: Path

    def code(self, name: str) -> str:
        """What each payload runs, if it is let."""
        port = self.listener.getsockname()[1]
        return (
            f"import socket; open({str(self.marks / name)!r}, 'w').close(); "
            f"socket.create_connection(('127.0.0.1', {port}), 5)"
        )

    def pickle(self, name: str) -> bytes:
        return pickle.dumps(Payload(self.code(name)))

    def is_untouched(self) -> bool:
        """Whether nothing ran, and nobody came."""
        self.listener.setblocking(False)
        try:
            with self.listener.accept()[0]:
                return False
        except BlockingIOError:
            return not list(self.marks.iterdir())


class Payload:
    """Unpickled, it runs its code."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code,)


class Evil(NamedTuple):
    """Builds its fixture into the directory of a version; what is said of it, and under which code."""

    build: Callable[[Path, Trap], object]
    code: str
    words: str


def file(name: str, content: Callable[[Trap], bytes | str]) -> Callable[[Path, Trap], object]:
    def build(folder: Path, trap: Trap) -> None:
        said = content(trap)
        (folder / name).write_bytes(said if isinstance(said, bytes) else said.encode())

    return build


def payload(name: str) -> Callable[[Path, Trap], object]:
    return file(name, lambda trap: trap.pickle(name))


def good_with(name: str, text: Callable[[Trap], bytes | str]) -> Callable[[Path, Trap], object]:
    """A good artifact beside something else."""

    def build(folder: Path, trap: Trap) -> None:
        (folder / "model.onnx").write_bytes(constant(1.0))
        file(name, text)(folder, trap)

    return build


def manifest(text: str, *others: Callable[[Path, Trap], object]) -> Callable[[Path, Trap], object]:
    def build(folder: Path, trap: Trap) -> None:
        port = str(trap.listener.getsockname()[1])
        said = text.replace("ELSEWHERE", str(trap.elsewhere)).replace("PORT", port)
        good_with("model.yaml", lambda _: said)(folder, trap)
        for other in others:
            other(folder, trap)

    return build


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def skops(node: dict[str, Any], members: dict[str, bytes] | None = None) -> bytes:
    """An archive as skops writes it, around one node."""
    schema = {**node, "protocol": 2, "_skops_version": "0.16.0"}
    return zipped({"schema.json": json.dumps(schema).encode(), **(members or {})})


def array(name: str) -> dict[str, Any]:
    return {
        "__class__": "ndarray",
        "__module__": "numpy",
        "__loader__": "NdArrayNode",
        "type": "numpy",
        "file": name,
        "__id__": 1,
    }


def npy(header: str) -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text


def calling(trap: Trap) -> bytes:
    """A skops file that would have the payload run, if any loader believed it."""
    code = {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(trap.code("s")),
    }
    content = {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "content": [code],
        "__id__": 2,
    }
    return skops(
        {
            "__class__": "exec", "__module__": "builtins", "__loader__": "ObjectNode", "content": content, "__id__": 3,
            "constructor": {"__class__": "exec", "__module__": "builtins", "__loader__": "TypeNode", "__id__": 4},
            "args": content, "attrs": content, "func": "exec",
        }
    )  # fmt: skip


def torch_archive(trap: Trap) -> bytes:
    """A checkpoint of torch's, whose pickle is the payload."""
    return zipped({"model/data.pkl": trap.pickle("torch"), "model/version": b"3\n", "model/byteorder": b"little"})


def external(location: str) -> Callable[[Path, Trap], object]:
    """A graph whose weight lies elsewhere."""

    def build(folder: Path, trap: Trap) -> None:
        from onnx import TensorProto, helper

        weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
        where = location.replace("ELSEWHERE", str(trap.elsewhere))
        for key, value in {"location": where, "length": "4"}.items():
            weight.external_data.add(key=key, value=value)
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy")
        graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weight])
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        if "link" in location:
            (folder / "link.bin").symlink_to(trap.elsewhere / "secret.bin")

    return build


def linked(name: str, target: str) -> Callable[[Path, Trap], object]:
    return lambda folder, trap: (folder / name).symlink_to(trap.elsewhere / target)


def linked_directory(folder: Path, trap: Trap) -> None:
    folder.rmdir()
    folder.symlink_to(trap.elsewhere / "good")


def piped(name: str) -> Callable[[Path, Trap], object]:
    def build(folder: Path, trap: Trap) -> None:
        if name != "model.onnx":
            (folder / "model.onnx").write_bytes(constant(1.0))
        os.mkfifo(folder / name)

    return build


def together(*builds: Callable[[Path, Trap], object]) -> Callable[[Path, Trap], object]:
    return lambda folder, trap: [build(folder, trap) for build in builds]


EVILS = {
    # a program that nobody vouched for
    "pickle": Evil(payload("model.pkl"), "untrusted_artifact", LOCK),
    "joblib": Evil(payload("model.joblib"), "untrusted_artifact", LOCK),
    "shouting": Evil(payload("MODEL.PKL"), "untrusted_artifact", LOCK),
    "program": Evil(payload("model.pt"), "untrusted_artifact", LOCK),
    "checkpoint": Evil(file("model.pt", torch_archive), "untrusted_artifact", LOCK),
    "predictor": Evil(file("predictor.py", lambda trap: trap.code("predictor")), "untrusted_artifact", LOCK),
    "code": Evil(manifest("code: [own.py]", file("own.py", lambda trap: trap.code("own"))), "untrusted_artifact", LOCK),
    "transform": Evil(manifest("transform: [t.pkl]", payload("t.pkl")), "untrusted_artifact", LOCK),
    "by_manifest": Evil(
        manifest("artifact: own.py", file("own.py", lambda trap: trap.code("own"))), "untrusted_artifact", LOCK
    ),
    # a pickle under another name: the name says how it is read
    "as_onnx": Evil(payload("model.onnx"), "unreadable_artifact", "is no well-formed ONNX model"),
    "as_skops": Evil(payload("model.skops"), "unreadable_artifact", "cannot be read as skops"),
    "as_transform": Evil(manifest("transform: [t.skops]", payload("t.skops")), "unreadable_artifact", "t.skops"),
    "as_reference": Evil(
        good_with("reference.json", lambda trap: trap.pickle("r")), "unreadable_artifact", "reference.json"
    ),
    "as_examples": Evil(good_with("examples.json", lambda trap: trap.pickle("e")), "failed_example", "examples.json"),
    "keras": Evil(payload("model.keras"), "unsupported_artifact", "export"),
    "hdf5": Evil(payload("model.h5"), "unsupported_artifact", "export"),
    # skops: types, bombs, headers
    "skops_object": Evil(file("model.skops", calling), "untrusted_artifact", "exec"),
    "zip_bomb": Evil(
        file("model.skops", lambda _: zipped({"schema.json": bytes(2**28 + 1)}, zipfile.ZIP_DEFLATED)),
        "unreadable_artifact",
        "times its size",
    ),
    "long_header": Evil(
        file("model.skops", lambda _: skops(array("a.npy"), {"a.npy": npy("{" + " " * 2**20 + "}")})),
        "unreadable_artifact",
        "model.skops",
    ),
    "large_array": Evil(
        file(
            "model.skops",
            lambda _: skops(
                array("a.npy"),
                {"a.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 64), }\n")},
            ),
        ),
        "failed_start",
        "more memory than there is",
    ),
    "array_of_objects": Evil(
        file(
            "model.skops",
            lambda trap: skops(
                array("a.npy"),
                {"a.npy": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n") + trap.pickle("npy")},
            ),
        ),
        "unreadable_artifact",
        "model.skops",
    ),
    # what lies elsewhere
    "link": Evil(linked("model.onnx", "good/model.onnx"), "untrusted_artifact", "is a link that leaves"),
    "link_directory": Evil(linked_directory, "untrusted_artifact", "is a link that leaves"),
    "link_manifest": Evil(
        together(file("model.onnx", lambda _: constant(1.0)), linked("model.yaml", "secret.yaml")),
        "untrusted_artifact",
        "is a link that leaves",
    ),
    "link_examples": Evil(
        together(file("model.onnx", lambda _: constant(1.0)), linked("examples.json", "secret.yaml")),
        "untrusted_artifact",
        "is a link that leaves",
    ),
    "weights_above": Evil(external("../../../elsewhere/secret.bin"), "untrusted_artifact", "outside"),
    "weights_absolute": Evil(external("ELSEWHERE/secret.bin"), "untrusted_artifact", "outside"),
    "weights_linked": Evil(external("link.bin"), "untrusted_artifact", "outside"),
    # a manifest that was edited
    "above": Evil(
        manifest("artifact: ../../good/1/model.onnx"), "configuration_error", "a path within the model's directory"
    ),
    "absolute": Evil(
        manifest("artifact: ELSEWHERE/good/model.onnx"), "configuration_error", "a path within the model's"
    ),
    "address": Evil(
        manifest("artifact: http://127.0.0.1:PORT/model.onnx"), "configuration_error", "there is no 'http:"
    ),
    "examples_above": Evil(
        manifest("examples: ../../elsewhere/secret.yaml"), "configuration_error", "a path within the model's"
    ),
    "interpreter": Evil(manifest("interpreter: /bin/sh"), "configuration_error", "'interpreter': unknown key"),
    "python": Evil(
        manifest("python: ./python", file("python", lambda _: "#!/bin/sh\n")),
        "configuration_error",
        "'python': unknown",
    ),
    "shell": Evil(
        manifest("artifact: run.sh", file("run.sh", lambda _: "#!/bin/sh\n")), "unsupported_artifact", "run.sh"
    ),
    "tag": Evil(manifest("artifact: !!python/object/apply:os.system ['true']"), "configuration_error", "model.yaml"),
    "aliases": Evil(manifest("a: &a [x, x]\nb: &b [*a, *a]\n"), "configuration_error", "aliases"),
    # what is no file
    "pipe": Evil(piped("model.onnx"), "unsupported_artifact", "not a regular file"),
    "pipe_manifest": Evil(piped("model.yaml"), "configuration_error", "not a regular file"),
    "pipe_examples": Evil(piped("examples.json"), "unreadable_artifact", "not a regular file"),
    "directory": Evil(lambda folder, _: (folder / "model.onnx").mkdir(), "unsupported_artifact", "holds no artifact"),
}
