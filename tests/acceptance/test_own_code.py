"""A class of the training script: pickled as `__main__.Scale`, and served with the script named."""

import subprocess
import sys
from pathlib import Path

from tests.acceptance.driver import penstock, serving

SCRIPT = """
import pickle

class Scale:
    n_features_in_ = 1

    def predict(self, rows):
        return rows[:, 0] * 2

if __name__ == "__main__":
    pickle.dump(Scale(), open("scale.pkl", "wb"))
"""


def test_a_class_of_the_training_script_is_asked_for_by_name_and_found(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True)
    done = penstock("check", "scale.pkl", cwd=tmp_path)
    assert done.returncode == 1
    assert "training script" in done.stderr
    assert "--code-path" in done.stderr
    with serving("scale.pkl", "--code-path", "train.py", "--compile", "off", cwd=tmp_path) as service:
        assert service.predict(4.0).body["prediction"] == 8.0
