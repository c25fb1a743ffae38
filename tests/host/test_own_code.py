"""The model's own Python code: what was vouched for is what runs."""

import hashlib
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.errors import ChangedArtifact, UntrustedArtifact
from penstock.host.own_code import make_importable
from penstock.model.control import Artifact
from tests.host.driver import artifact, loaded, refusal

CODE = "class Model:\n    n_features_in_ = 2\n    def predict(self, rows): return rows.sum(axis=1)\n"


def model_of(module: str, folder: Path, **said: Any) -> Artifact:
    """A pickle of an object of the class `Model` in `module`."""
    (folder / "model.pkl").write_bytes(f"c{module}\nModel\n)\x81.".encode("latin-1"))
    return artifact(folder / "model.pkl", **said)


def write(path: Path, text: str = CODE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("file", "code", "module"),
    [
        ("ratios.py", "ratios.py", "ratios"),
        ("own/ratios.py", "own", "ratios"),
        ("own/deep/ratios.py", "own", "deep.ratios"),
        ("train.py", "train.py", "__main__"),
    ],
)
def test_a_model_finds_its_class_in_the_code_that_is_named(file: str, code: str, module: str, tmp_path: Path) -> None:
    write(tmp_path / file)
    assert (
        loaded(model_of(module, tmp_path, code=(str(tmp_path / code),))).signature.output.fields[0].dtype == "float64"
    )


def test_a_package_is_imported_by_its_own_name(tmp_path: Path) -> None:
    write(tmp_path / "own" / "__init__.py", "")
    write(tmp_path / "own" / "helper.py", "BASE = 1\n")
    write(tmp_path / "own" / "ratios.py", f"from own.helper import BASE\nfrom . import helper\n{CODE}")
    assert loaded(model_of("own.ratios", tmp_path, code=(str(tmp_path / "own"),))).runtime == "sklearn"


def test_a_training_script_is_not_run_for_a_class_that_is_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "own" / "a_script.py", "raise SystemExit('trained again')\n")
    write(tmp_path / "own" / "ratios.py")
    assert loaded(model_of("__main__", tmp_path, code=(str(tmp_path / "own"),))).runtime == "sklearn"


SCRIPT = """
import os
from pathlib import Path
{code}
with open(Path(__file__).with_name("runs"), "a") as runs:
    runs.write(f"{{os.getpid()}}\\n")
"""


def test_a_script_is_run_once_in_a_process_and_that_is_said(tmp_path: Path) -> None:
    code = str(write(tmp_path / "train.py", SCRIPT.format(code=CODE)))
    verdict = loaded(model_of("__main__", tmp_path, code=(code,), compile="auto"))
    runs = (tmp_path / "runs").read_text().split()
    assert len(runs) == len(set(runs)) == 2  # the compiler's process and the host's
    (warning,) = verdict.warnings
    assert warning.startswith("train.py is run in full at each load, and it does more than define (line 8): move what")
    assert warning.endswith("save the model again")


@pytest.mark.parametrize("test", ['__name__ == "__main__"', "'__main__' == __name__"])
def test_what_is_below_the_guard_of_a_script_is_not_run(test: str, tmp_path: Path) -> None:
    guarded = f"if {test}:\n    raise SystemExit('trained again')\n"
    code = str(write(tmp_path / "train.py", CODE + guarded))
    assert loaded(model_of("__main__", tmp_path, code=(code,))).warnings == ()
    write(tmp_path / "train.py", f"{CODE}print('hello')\n{guarded}")
    (warning,) = loaded(model_of("__main__", tmp_path, code=(code,))).warnings
    assert 'at each load, except below `if __name__ == "__main__"`, and' in warning


def test_a_module_may_define_in_many_ways(tmp_path: Path) -> None:
    body = '''"""Says what it is."""
import logging
try:
    import missing_module
except ImportError:
    missing_module = None
if missing_module is not None:
    from missing_module import other
LOG = logging.getLogger(__name__)
LIMITS: dict[str, int] = {}
'''
    assert loaded(model_of("ratios", tmp_path, code=(str(write(tmp_path / "ratios.py", body + CODE)),))).warnings == ()


def test_the_class_that_is_in_no_code_is_asked_for(tmp_path: Path) -> None:
    code = str(write(tmp_path / "ratios.py", "class Other: pass\n"))
    for module in ("__main__", "ratios"):
        refused = refusal(model_of(module, tmp_path, code=(code,)))
        assert refused.code == "missing_dependency"
        assert "Model" in refused.message
        assert "--code-path" in refused.message
        assert "--code-path train.py" not in refused.message


def test_code_that_is_no_python_is_refused(tmp_path: Path) -> None:
    refused = refusal(model_of("__main__", tmp_path, code=(str(write(tmp_path / "bad.py", "def x(:")),)))
    assert refused.code == "unreadable_artifact"
    assert "not valid Python" in refused.message


@pytest.fixture
def _own_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's ways to import are put back afterwards."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setitem(sys.modules, "__main__", type(sys)("__main__"))


@pytest.mark.usefixtures("_own_imports")
def test_code_must_be_what_was_pinned(tmp_path: Path) -> None:
    path = write(tmp_path / "ratios.py")
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    make_importable([str(path)], {str(path): right}, trusted=False)
    with pytest.raises(ChangedArtifact):
        make_importable([str(path)], {str(path): "0" * 64}, trusted=True)
    with pytest.raises(UntrustedArtifact):
        make_importable([str(path)], {}, trusted=False)
    with pytest.raises(UntrustedArtifact):
        make_importable([str(path), str(write(tmp_path / "more.py"))], {str(path): right}, trusted=True)


@pytest.mark.usefixtures("_own_imports")
def test_what_runs_is_what_was_read_and_not_what_the_file_became(tmp_path: Path) -> None:
    """Neither a change after the check nor a cached `.pyc` has a say."""
    path = write(tmp_path / "turbines.py", "BLADES = 3\n")
    make_importable([str(path)], {}, trusted=True)
    write(path, "BLADES = 4\n")
    module = __import__("turbines")
    assert module.BLADES == 3
    assert module.__file__ == str(path)
    assert not (tmp_path / "__pycache__").exists()
    del sys.modules["turbines"]


@pytest.mark.usefixtures("_own_imports")
def test_code_does_not_stand_in_front_of_the_standard_library(tmp_path: Path) -> None:
    write(tmp_path / "own" / "colorsys.py", "raise AssertionError\n")
    make_importable([str(tmp_path / "own")], {}, trusted=True)
    assert __import__("colorsys").rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)


def test_a_training_script_is_searched_for_functions_too(tmp_path: Path) -> None:
    """A FunctionTransformer of the training script's own function needs it by name."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    main = sys.modules["__main__"]
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def double(rows): return rows * 2\n", namespace)
    main.__dict__["double"] = namespace["double"]
    try:
        model = make_pipeline(FunctionTransformer(namespace["double"]), LinearRegression())
        model.fit(np.eye(2), [0, 1])
        (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    finally:
        del main.__dict__["double"]
    assert refusal(artifact(tmp_path / "model.pkl")).code == "missing_dependency"
    code = str(write(tmp_path / "train.py", "def double(rows): return rows * 2\n"))
    assert loaded(artifact(tmp_path / "model.pkl", code=(code,))).runtime == "sklearn"
