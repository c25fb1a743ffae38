"""`penstock key new`: what keeps a key from being made is said of the file that was named."""

from pathlib import Path

import pytest

from penstock.cli import main
from penstock.cli.key import new_secret


@pytest.mark.parametrize(("place", "reason"), [("nowhere", "no such file or directory"), ("file", "not a directory")])
def test_the_directory_is_blamed_where_the_file_cannot_be_written(
    place: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert main(["key", "new", "x", "--file", f"{place}/keys"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(
        f"penstock: {place}/keys cannot be written: its directory, {Path.cwd() / place}: {reason}; name a file"
    )
    assert told.out == ""


def test_a_key_is_no_name_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    secret = new_secret()
    assert main(["key", "new", secret]) == 2
    told = capsys.readouterr().err
    assert ("this is a key, and no name for one" in told, secret in told) == (True, False)
    assert not Path("penstock.keys").exists()
