"""`penstock key new`: a key for a client."""

import os
import secrets
from argparse import Namespace
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, get_type_hints

from penstock.cli.arguments import Parser
from penstock.cli.complaint import complain
from penstock.config import Allowance
from penstock.configuration import MODEL_NAME
from penstock.errors import ConfigurationError
from penstock.model.key import ANONYMOUS, PREFIX, PRIORITIES, RIGHTS, Key, has_secret
from penstock.model.keyring import entry, read_keys
from penstock.model.quota import demand_rates
from penstock.values import Unfit, from_text

USUAL = "penstock.keys"
SECRET_BYTES = 32
LIMITS = {
    "requests": ("RATE", "of its own, in place of all of the service's quota, such as 100/s or 6000/min"),
    "requests_burst": ("N", "requests at once [as many as the rate says]"),
    "rows": ("RATE", "rows, such as 1000/s or 60000/min"),
    "rows_burst": ("N", "rows at once [as many as the rate says]"),
}
EXAMPLES = f"""\
examples:
  penstock key new mobile                         a key that may predict, in {USUAL}
  penstock key new ops --rights predict,read,admin
  penstock key new shop --priority high --file /etc/penstock/keys
  penstock key new batch --quota-requests 5/s --quota-rows 5000/min
  penstock serve model.pkl --keys {USUAL}    and what is served with them

The key is printed, once; the file has its SHA-256. A running service takes the file over when it changes: a line that
is taken out is a key that counts no more.
"""


def run(words: Sequence[str]) -> int:
    """Prints a new key; returns the exit code. Raises ConfigurationError."""
    parser = Parser("key", "new NAME [options]", "Make a key for a client of the service.", EXAMPLES)
    parser.add_argument("action", metavar="new", choices=["new"])
    parser.add_argument("name", metavar="NAME", help="what to call it in the file and in the logs")
    parser.add_argument("--rights", default="predict", metavar="RIGHTS", help="of predict, read, admin [predict]")
    parser.add_argument("--priority", choices=PRIORITIES, help="of its requests, where queue.priority heeds it")
    for limit, (metavar, text) in LIMITS.items():
        parser.add_argument(f"--quota-{limit.replace('_', '-')}", metavar=metavar, dest=limit, help=text)
    parser.add_argument("--file", default=USUAL, help=f"the file that it is added to [{USUAL}]")
    namespace = parser.read(words)
    rights = [word.strip() for word in namespace.rights.split(",")]
    chosen = tuple(right for right in RIGHTS if right in rights)
    if strange := sorted(set(rights) - set(RIGHTS)):
        raise ConfigurationError(f"--rights: expected some of {', '.join(RIGHTS)}, got {strange[0]!r}")
    if namespace.name == ANONYMOUS:
        raise ConfigurationError(f"{ANONYMOUS} is who sends no key: write '{ANONYMOUS}: {{rights: […]}}' into the file")
    if has_secret(namespace.name):
        raise ConfigurationError("this is a key, and no name for one: say what to call it, such as mobile")
    if not MODEL_NAME.fullmatch(namespace.name):
        raise ConfigurationError(f"{namespace.name!r} is no name: use letters, digits, '_', '-' and '.'")
    secret = new_secret()
    key = Key(
        name=namespace.name, sha256=digest(secret), rights=chosen, priority=namespace.priority, quota=_quota(namespace)
    )
    _add(Path(namespace.file), key)
    print(secret)
    complain(f"{namespace.name} may {', '.join(chosen)}; this is the only time that its key is shown")
    return 0


def _quota(namespace: Namespace) -> Allowance | None:
    """The limits that are said; None where none is, for those of the service."""
    hints = get_type_hints(Allowance, include_extras=True)
    limits: dict[str, Any] = {}
    for limit in LIMITS:
        if (text := getattr(namespace, limit)) is None:
            continue
        try:
            limits[limit] = from_text(hints[limit], text)
        except Unfit as unfit:
            raise ConfigurationError(f"--quota-{limit.replace('_', '-')}: {unfit}") from None
    quota = Allowance(**limits)
    demand_rates(quota, "quota")
    return quota if limits else None


def new_secret() -> str:
    """A key that nobody guesses: 256 bits of the system's randomness."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """What is kept of a key. Such keys are random and long, so that a slow hash would protect nothing."""
    return sha256(secret.encode()).hexdigest()


def _add(path: Path, key: Key) -> None:
    """Adds a line to the file, which only its owner may read where it is new."""
    before = path.read_text() if path.exists() else ""
    if before and key.name in {known.name for known in read_keys(path)}:
        raise ConfigurationError(f"{path}: there is a key called {key.name}: take it out, or choose another name")
    mode = path.stat().st_mode & 0o777 if before else 0o600
    text = before + ("\n" if before and not before.endswith("\n") else "") + entry(key)
    try:
        _exchange(path, text, mode)
    except OSError as problem:
        reason = (problem.strerror or "no").lower()
        raise ConfigurationError(
            f"{path} cannot be written: its directory, {path.absolute().parent}: {reason}; name a file in one that is "
            "there and may be written to (--file)"
        ) from None


def _exchange(path: Path, text: str, mode: int) -> None:
    """Puts the whole file in the place of the one before. Raises OSError."""
    staging = path.with_name(f".{path.name}")
    staging.unlink(missing_ok=True)  # whoever may read what lies there would read on
    with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    staging.replace(path)
