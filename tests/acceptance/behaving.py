"""A model that does what the first feature of a row says, and keeps a record of the rows that it was called for."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

ANSWER = 0  # and 1: rows of zeros and ones are what a model is warmed up with
SLEEP, RAISE, NOT_A_NUMBER, WRONG_LENGTH, DIE, HANG, HOLD = range(2, 9)


class Behaving:
    """Answers each row with its second feature, unless told otherwise.

    `record` is a file to which the second features of all rows are written; HOLD waits for a file `release` beside it.
    """

    n_features_in_ = 2

    def __init__(self, record: Path) -> None:
        self.record = record

    def predict(self, rows: Any) -> Any:
        rows = np.asarray(rows)
        actions = set(rows[:, 0].astype(int).tolist())
        with self.record.open("a") as record:
            record.writelines(f"{value:g}\n" for value in rows[:, 1])
        if RAISE in actions:
            raise ValueError("told to raise")
        if DIE in actions:
            os.kill(os.getpid(), signal.SIGKILL)
        if HANG in actions:
            re.match(r"(a+)+$", "a" * 64 + "b")  # holds the interpreter's lock for longer than anybody lives
        while HOLD in actions and not self.record.with_name("release").exists():
            time.sleep(0.01)
        if SLEEP in actions:
            time.sleep(0.5)
        answers = np.where(rows[:, 0] == NOT_A_NUMBER, np.nan, rows[:, 1])
        return answers[:-1] if WRONG_LENGTH in actions else answers
