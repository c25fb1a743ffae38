"""`make bench-peers`, as far as it goes without the peers themselves: their environments are no part of the tests."""

import ast
import importlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SERVICES = ROOT / "benchmarks" / "peers"
FOLDERS = sorted(SERVICES.iterdir())
PIN = re.compile(r"([A-Za-z0-9._-]+)==[A-Za-z0-9.]+(?:  # .+)?")

pytestmark = pytest.mark.needs("skl2onnx")  # the benchmarks' models are fitted with it at hand

Module = Callable[[str], Any]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Imports a file of benchmarks/, which is no package."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_each_peer_is_defined_in_full(module: Module) -> None:
    """A folder, a target, an environment that make can build, and a service that parses."""
    peers = list(module("peer").PEERS)
    listed = re.findall(r"^PEERS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert sorted(peers) == sorted(listed[0].split()) == [folder.name for folder in FOLDERS]
    for path in SERVICES.rglob("*.py"):
        assert "Classifier" in [
            node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)
        ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_an_environment_is_pinned_to_the_last_package(folder: Path) -> None:
    chosen, brought = (
        [line for line in (folder / name).read_text().splitlines() if not line.startswith("#")]
        for name in ("requirements.txt", "constraints.txt")
    )
    names = [PIN.fullmatch(line) for line in chosen + brought]
    assert None not in names
    assert len({match[1].lower() for match in names if match}) == len(names)
    assert folder.name in [line.partition("==")[0] for line in chosen]


def test_all_peers_run_the_same_scikit_learn() -> None:
    lines = [set((folder / "requirements.txt").read_text().splitlines()) for folder in FOLDERS]
    shared = set.intersection(*lines)
    assert {line.partition("==")[0] for line in shared} >= {"scikit-learn", "numpy"}


def test_mlserver_is_asked_for_the_model_that_it_is_given(module: Module) -> None:
    settings = [json.loads(path.read_text()) for path in (SERVICES / "mlserver").glob("*.json")]
    (name,) = [setting["name"] for setting in settings if "name" in setting]
    assert module("wire").V2.path(1) == module("wire").V2.path(64) == f"/v2/models/{name}/infer"


@pytest.mark.parametrize(
    ("dialect", "rows", "document", "answer", "labelled"),
    [
        ("NATIVE", [[1.5]], {"features": [1.5]}, {"prediction": 2, "confidence": 0.75}, [(2, 0.75)]),
        (
            "LITSERVE",
            [[1.5], [2.5]],
            {"batch": [[1.5], [2.5]]},
            {"predictions": [0, 1], "confidences": [0.5, 0.75]},
            [(0, 0.5), (1, 0.75)],
        ),
        ("BENTOML", [[1.5], [2.5]], {"inputs": [[1.5], [2.5]]}, [[0.0, 0.5], [1.0, 0.75]], [(0, 0.5), (1, 0.75)]),
        (
            "V2",
            [[1.5, 2.5], [3.5, 4.5]],
            {
                "inputs": [{"name": "rows", "shape": [2, 2], "datatype": "FP64", "data": [1.5, 2.5, 3.5, 4.5]}],
                "outputs": [{"name": "predict"}, {"name": "predict_proba"}],
            },
            {"outputs": [{"data": [2, 0]}, {"data": [0.1, 0.3, 0.6, 0.5, 0.2, 0.3]}]},
            [(2, 0.6), (0, 0.5)],
        ),
    ],
)
def test_each_dialect_asks_for_the_same_and_is_understood(
    module: Module, dialect: str, rows: list[list[float]], document: object, answer: object, labelled: object
) -> None:
    wire = getattr(module("wire"), dialect)
    assert wire.document(rows) == document
    assert wire.labelled(answer) == labelled


def figures(module: Module, rate: float, *, errors: int = 0, others: float = 0.0) -> Any:
    return module("load").Figures(rate, rate, 1000 / rate, 2000 / rate, errors, {}, others, 0.0)


def test_the_best_peer_is_the_fastest_that_made_no_error(module: Module) -> None:
    """Against mlserver's 50 and 200, penstock's 500 and 400 are 10 and 2 times as much: 6 in the middle."""
    report, cell = module("report"), module("load").Cell("iris", 1, 64)
    rates = {
        "naive": (100, 100),
        "penstock": (500, 400),
        "litserve": (900, 900),
        "bentoml": (40, 60),
        "mlserver": (50, 200),
    }
    runs = [
        report.Run(name, cell, number, figures(module, rate, errors=int(name == "litserve")))
        for name, rounds in rates.items()
        for number, rate in enumerate(rounds)
    ]
    lines = report.table(report.Results({}, runs, []), list(rates), [cell]).splitlines()
    cells = {line.split(" | ")[1]: line.rstrip(" |").split(" | ")[-2:] for line in lines if " | " in line}
    assert cells["server"] == ["× naive", "× best peer"]
    assert cells["penstock"] == ["4.50", "6.00"]
    assert cells["mlserver"] == ["1.25", "1.00"]
    assert cells["bentoml"] == ["0.50", "0.55"]
    assert "litserve **disqualified: 2 errors**" in cells


def test_a_round_without_an_answer_has_no_ratio(module: Module) -> None:
    report, cell = module("report"), module("load").Cell("forest", 1, 64)
    silent = figures(module, 100)._replace(requests_s=0.0, rows_s=0.0)
    rounds = {"naive": (silent, figures(module, 50)), "bare": (silent, silent), "penstock": (figures(module, 100),) * 2}
    runs = [report.Run(name, cell, number, run) for name, pair in rounds.items() for number, run in enumerate(pair)]
    results = report.Results({}, runs, [])
    assert results.ratio("penstock", "naive", cell, report.rows_s) == 2
    assert results.ratio("penstock", "bare", cell, report.rows_s) is None


def test_a_disturbed_run_is_made_again_and_an_error_never_forgotten(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = module("bench")
    this = bench.Bench.__new__(bench.Bench)
    this.options, this.folder = bench.argparse.Namespace(seconds=1, patience=0, tries=3), Path()
    this._cores = bench.Cores(server=0, load=1)

    server = SimpleNamespace(target=module("targets").TARGETS["bare"], settle=lambda: None)

    def kept(*runs: Any) -> Any:
        upcoming = iter(runs)
        monkeypatch.setattr(bench, "drive", lambda *_: next(upcoming))
        return this._undisturbed(server, None)

    quiet, loud, louder = (figures(module, 100, others=others) for others in (0.1, 0.5, 0.9))
    failed = figures(module, 100, errors=1, others=0.9)
    assert kept(quiet) is quiet
    assert kept(louder, loud, quiet) is quiet
    assert kept(louder, loud, louder) is loud
    assert kept(loud, failed) is failed


def test_a_missing_environment_is_explained_with_what_builds_it(
    module: Module, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module("peer"), "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["bench.py", "--targets", "naive,litserve,mlserver"])
    with pytest.raises(SystemExit, match="2"):
        module("bench").parse()
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.endswith(" litserve, mlserver: no environment yet; `make bench-peers` builds it, then measures")


def test_a_server_takes_its_children_with_it(module: Module, tmp_path: Path) -> None:
    targets, subjects = module("targets"), module("subjects")
    bare = targets.TARGETS["bare"]

    def command(subject: Any, port: int, log: Path) -> list[str]:
        return ["sh", "-c", 'sleep 1000 & exec "$@"', "sh", *bare.command(subject, port, log)]

    subject = subjects.Subject("none", tmp_path, tmp_path, [[1.0]], [], [])
    with module("server").Server(bare._replace(command=command), subject, tmp_path, None) as server:
        (child,) = [pid for pid, arguments in server.processes().items() if arguments == "1000"]
    limit = time.monotonic() + 10
    while alive(child) and time.monotonic() < limit:
        time.sleep(0.01)
    assert not alive(child)


def alive(pid: int) -> bool:
    """Neither gone nor a zombie that its new parent has yet to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
