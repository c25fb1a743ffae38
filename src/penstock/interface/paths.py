"""Sentences of the log, as they are told over HTTP: with the names of files, without the directories they lie in."""

import re
from pathlib import Path

_DIRECTORIES = re.compile(r"(?<![\w:/.~-])~?/(?:[^\s/'\"`,;:()]+/)+(?=[^\s/])")


def without_directories(text: str, path: str) -> str:
    """`text` about the model at `path`, whose own directory is left out whatever characters are in its name."""
    home = str(Path(path).parent)
    return _DIRECTORIES.sub("", text.replace(f"{home}/", "") if home != "/" else text)
