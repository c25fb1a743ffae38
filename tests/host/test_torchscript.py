"""TorchScript programs, whose inputs are declared."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.host.driver import HostProcess, artifact, ask, declared, loaded, refusal

torch: Any = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.needs("torch"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),  # what newer builds say of the same
]

SOURCES = {
    "net": "def forward(self, x: Tensor):\n    return x.sum(1, keepdim=True) * 2",
    "two": "def forward(self, x: Tensor):\n    return x.sum(1), torch.stack([x[:, 0] > 1, x[:, 0] > 2], 1)",
    "named": "def forward(self, x: Tensor):\n    return {'low': x.min(1)[0], 'high': x.max(1)[0]}",
    "image": "def forward(self, x: Tensor):\n    return x.flatten(1).mean(1)",
    "pair": "def forward(self, a: Tensor, b: Tensor):\n    return a.sum(1) + b.to(torch.float32)",
    "flat": "def forward(self, x: Tensor):\n    return x.sum()",
}


def program(folder: Path, source: str) -> Path:
    """A module whose `forward` is `source`, as a file."""
    module = type(source.title(), (torch.jit.ScriptModule,), {})()
    module.define(f"{SOURCES[source]}\n")
    module.save(str(folder / "model.pt"))
    return folder / "model.pt"


COLUMNS = declared("f0", "f1", "f2", "f3", dtype="float32")
ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)


def test_a_program_answers_a_number_for_each_row(tmp_path: Path) -> None:
    with HostProcess(artifact(program(tmp_path, "net"), inputs=COLUMNS)) as host:
        verdict = host.loaded()
        (values,) = host.front().ask(ROWS)
    assert values.tolist() == [12.0, 44.0, 76.0]
    assert (verdict.runtime, verdict.device, verdict.signature.named) == ("torch", "cpu", False)


def test_several_outputs_are_fields_with_their_shapes(tmp_path: Path) -> None:
    with HostProcess(artifact(program(tmp_path, "two"), inputs=COLUMNS)) as host:
        fields = host.loaded().signature.output.fields
        sums, flags = host.front().ask(ROWS)
    assert [(f.name, f.dtype, f.shape) for f in fields] == [
        ("output_0", "float32", ()),
        ("output_1", "bool", (2,)),
    ]
    assert (sums.tolist(), flags.tolist()) == ([6.0, 22.0, 38.0], [[False, False], [True, True], [True, True]])


def test_outputs_in_a_dict_have_their_names(tmp_path: Path) -> None:
    fields = loaded(artifact(program(tmp_path, "named"), inputs=COLUMNS)).signature.output.fields
    assert [field.name for field in fields] == ["low", "high"]


def test_an_image_and_several_arguments_are_served(tmp_path: Path) -> None:
    image = declared("input", dtype="float32", shape=(3, 2, 2))
    assert ask(artifact(program(tmp_path, "image"), inputs=image), np.ones((2, 3, 2, 2), np.float32))[0].tolist() == [
        1,
        1,
    ]
    pair = declared("a", dtype="float32", shape=(2,)) + declared("b", dtype="int64")
    columns = ask(artifact(program(tmp_path, "pair"), inputs=pair), np.ones((2, 2), np.float32), np.array([1, 5]))
    assert columns[0].tolist() == [3.0, 7.0]


def test_doubles_become_what_the_program_computes_in(tmp_path: Path) -> None:
    module = torch.jit.trace(torch.nn.Linear(4, 1), torch.ones(1, 4))
    module.save(str(tmp_path / "model.pt"))
    (values,) = ask(artifact(tmp_path / "model.pt", inputs=declared("a", "b", "c", "d")), ROWS.astype(np.float64))
    assert np.array_equal(values, module(torch.from_numpy(ROWS)).detach().numpy()[:, 0])


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({}, "unsupported_artifact", "--inputs 4"),
        ({"inputs": COLUMNS, "trusted": False}, "untrusted_artifact", "penstock lock"),
        ({"inputs": COLUMNS[:3], "device": "cuda:9"}, "unavailable_device", "device: cpu"),
        ({"inputs": declared("a", dtype="string")}, "unsupported_artifact", "declare numbers"),
    ],
)
def test_what_a_program_cannot_do_without_is_asked_for(
    said: dict[str, Any], code: str, words: str, tmp_path: Path
) -> None:
    refused = refusal(artifact(program(tmp_path, "net"), **said))
    assert refused.code == code
    assert words in refused.message


def test_a_program_that_does_not_answer_for_each_row_is_refused(tmp_path: Path) -> None:
    refused = refusal(artifact(program(tmp_path, "flat"), inputs=COLUMNS))
    assert refused.code == "failed_start"
    assert "not one for each row" in refused.message


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (torch.nn.Linear(2, 1).state_dict(), "a state_dict"),
        (torch.nn.Linear(2, 1), "a checkpoint that needs its class"),
        (torch.ones(3), "a Tensor"),
    ],
)
def test_a_file_of_torch_that_is_no_program_is_told_what_it_is(held: Any, words: str, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "model.pt")
    refused = refusal(artifact(tmp_path / "model.pt", inputs=COLUMNS))
    assert refused.code == "unsupported_artifact"
    assert words in refused.message
    assert "torch.jit.script" in refused.message


def test_a_damaged_program_is_refused(tmp_path: Path) -> None:
    path = program(tmp_path, "net")
    path.write_bytes(path.read_bytes()[:200])
    assert refusal(artifact(path, inputs=COLUMNS)).code == "unreadable_artifact"
