"""The files of a model's directory: what each holds, and its digest."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from penstock.errors import ChangedArtifact
from penstock.model.trust import digest_of, sum_line

SUMS = "SHA256SUMS"
CARD = "README.md"
MEASURED = "\n## Measured\n"
"""What is below this heading of the card is another thing each time."""


class Content(NamedTuple):
    """What a file is to hold: `data`, or a copy of what `path` held when it had this sha256."""

    sha256: str
    data: bytes = b""
    path: Path | None = None

    def write(self, to: Path) -> None:
        """Writes the file, which is not there yet. Raises ChangedArtifact where it has become another one."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("xb") as file:
            if self.path is None:
                file.write(self.data)
            else:
                with self.path.open("rb") as source:
                    shutil.copyfileobj(source, file, 2**20)
            file.flush()
            os.fsync(file.fileno())
        if digest_of(to) != self.sha256:
            raise ChangedArtifact(f"{self.path} changed while it was being packed: pack it again")


Contents = Mapping[str, Content]
"""What a directory is to hold, by path within it."""


def made(text: str) -> Content:
    """A file that holds `text`."""
    data = text.encode()
    return Content(hashlib.sha256(data).hexdigest(), data)


def sums(contents: Contents) -> Content:
    """The digests of the files, as `sha256sum -c` reads them."""
    return made("".join(f"{sum_line(name, content.sha256)}\n" for name, content in sorted(contents.items())))


def differences(directory: Path, contents: Contents) -> list[str]:
    """The files in which `directory` differs from what it is to hold, but for what the card tells of measuring."""
    there = {str(file.relative_to(directory)) for file in directory.rglob("*") if not file.is_dir()}
    return [name for name in sorted(there | contents.keys()) if not _same(directory / name, name, contents)]


def _same(file: Path, name: str, contents: Contents) -> bool:
    if name not in contents or not file.is_file():
        return False
    if name == CARD:
        text = file.read_bytes().decode(errors="replace")
        return text.partition(MEASURED)[0] == contents[name].data.decode().partition(MEASURED)[0]
    return digest_of(file) == contents[name].sha256
