"""The command line: finds the command, runs it, and says in one line what went wrong.

Exit codes: 0 done, 1 failed, 2 usage or configuration. Each command is a file with a `run(words)`, and is imported
only when it is called for: `penstock serve` is listening before a larger program would have parsed its arguments.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import TracebackType

from penstock import __version__
from penstock.cli.complaint import complain
from penstock.errors import ConfigurationError, PenstockError

COMMANDS = {
    "serve": "penstock.cli.serve",
    "check": "penstock.cli.check",
    "pack": "penstock.cli.pack",
    "lock": "penstock.cli.lock",
    "models": "penstock.cli.models",
    "route": "penstock.cli.route",
    "promote": "penstock.cli.promote",
    "rollback": "penstock.cli.rollback",
    "key": "penstock.cli.key",
    "config": "penstock.cli.config",
    "profile": "penstock.cli.profile",
    "demo": "penstock.cli.demo",
}

HELP = """\
Penstock turns a trained model into a production service.

usage: penstock COMMAND …

  serve    serve models over HTTP
  check    load an artifact, and show what it takes, what it gives and how fast it is
  pack     make a model's directory of an artifact and its training data
  lock     vouch for the files of a repository that run code when they are loaded
  models   show what a running service has loaded; load and unload versions
  route    say which version answers, and which is tried on a share of the requests
  promote  give one version all the traffic
  rollback go back to the version before
  key      make a key for a client of the service
  config   show every setting in force, and where its value came from
  profile  measure where the time of a request goes, and say what would help
  demo     train two models on real data and serve them

  penstock COMMAND --help    what a command takes, with examples
  penstock --version

  penstock serve model.pkl                   one model on http://127.0.0.1:8000
  penstock serve models/ --port 9000         every model of a repository
  penstock serve penstock.yaml               what a file configures

--debug shows a traceback where there would be one line.
"""

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that `argv` names; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "--debug" in words:
        return _run([word for word in words if word != "--debug"])
    sys.excepthook = _surprised
    try:
        code = _run(words)
        sys.stdout.flush()  # here, where a reader that went away is still met with grace
        return code
    except PenstockError as error:
        complain(error)
        return 2 if isinstance(error, ConfigurationError) else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stdout = None  # there is nobody to flush it to
        return 1
    except OSError as error:
        complain(": ".join(map(str, filter(None, [error.filename, (error.strerror or str(error)).lower()]))))
        return 1


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if words[0] in ("-V", "--version", "version"):
        print(f"penstock {__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise ConfigurationError(_unknown(words[0]))
    code: int = import_module(COMMANDS[words[0]]).run(words[1:])
    return code


def _unknown(word: str) -> str:
    import shlex
    from pathlib import Path

    from penstock.values import did_you_mean

    if Path(word.partition("=")[2] or word).exists():
        return f"'{word}' is no command; did you mean 'penstock serve {shlex.quote(word)}'?"
    return f"'{word}' is no command{did_you_mean(word, COMMANDS) or '; penstock --help lists them'}"


def _surprised(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody foresaw, in one line all the same."""
    complain(f"this is a fault of Penstock's own: {kind.__name__}: {error}")
    complain("run it again with --debug for the traceback")
