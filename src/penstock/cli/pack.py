"""`penstock pack`: makes a model's directory of an artifact, with all that can be known of it."""

import shlex
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from penstock.cli.arguments import Parser, add_settings, configuration_of
from penstock.cli.check import OF_MODELS
from penstock.cli.complaint import complain
from penstock.cli.packing.card import measured
from penstock.cli.packing.contents import CARD, Contents
from penstock.cli.packing.inquiry import Data, Found, inquire
from penstock.cli.packing.original import original
from penstock.cli.packing.parcel import parcel
from penstock.cli.packing.shelf import Shelf, is_there, put, shelf, staged
from penstock.cli.probe import Finding, probe
from penstock.cli.progress import progress
from penstock.errors import ArtifactError, ConfigurationError
from penstock.model.layout import Place
from penstock.model.reference import MOST_ROWS
from penstock.model.source import ModelSource, Warrant, risky_files, source_of
from penstock.model.trust import LOCK_NAME, Lock
from penstock.option import EVERY_MODEL

EXAMPLES = """\
examples:
  penstock pack iris.pkl --data iris.csv --target species -o models/iris/1
  penstock pack iris.pkl --transform scaler.pkl --data iris.csv --target species -o models/iris/2
  penstock pack net.onnx -o models/net/1        without data: no ranges, and examples on rows that are made up

The model is loaded in a process of its own, as `penstock check` would: loading a pickle runs whatever is in it.
"""


def run(words: Sequence[str]) -> int:
    """Packs the artifact that is named; returns the exit code."""
    namespace = _parsed(words)
    where = shelf(namespace.output, namespace.name)
    configuration = configuration_of(namespace)
    source = original(Path(namespace.artifact), namespace.transform, where, configuration)
    with progress() as tell:
        found = inquire(source, _data(namespace), tell)
        contents = parcel(where, source, found)
        done = is_there(where.target, contents)
        finding = None if done else _placed(where, source, contents, tell)
    for notice in found.notices:
        complain(notice)
    print("\n".join(_told(where, source, found, finding)))
    return 0


def _parsed(words: Sequence[str]) -> Namespace:
    parser = Parser(
        "pack", "ARTIFACT -o DIRECTORY [options]", "Make a model's directory of an artifact and its data.", EXAMPLES
    )
    parser.add_argument("artifact", metavar="ARTIFACT", help="the file to pack: .pkl .pickle .joblib .skops .onnx .pt")
    parser.add_argument("-o", "--output", metavar="DIRECTORY", required=True, help="the directory, models/iris/1 say")
    parser.add_argument("--data", metavar="CSV", help="what the model was trained on; its first line names the columns")
    parser.add_argument("--target", metavar="COLUMN", help="the column that the model learnt to answer: it is no input")
    parser.add_argument(
        "--transform", metavar="FILE", action="append", default=[], help="a fitted transform before the model; again"
    )
    parser.add_argument("--name", help="what to call the model [its directory]")
    parser.add_argument(
        "--sample", metavar="N", default=str(MOST_ROWS), help=f"rows of the data to keep, 0 for none [{MOST_ROWS}]"
    )
    add_settings(parser, only=[f"{EVERY_MODEL}{name}" for name in OF_MODELS])
    return parser.read(words)


def _data(namespace: Namespace) -> Data | None:
    said = namespace.sample
    if not (said.isdecimal() and said.isascii() and int(said) <= MOST_ROWS):
        raise ConfigurationError(f"--sample: expected an integer from 0 to {MOST_ROWS}, got '{said}'")
    if namespace.data is None:
        if namespace.target is not None:
            raise ConfigurationError("--target names a column of --data: say which file that is")
        return None
    return Data(Path(namespace.data), namespace.target, int(said))


def _placed(where: Shelf, source: ModelSource, contents: Contents, tell: Callable[[str], object]) -> Finding:
    """Writes the directory, sees that it can be served, and puts it in its place. Raises ArtifactError."""
    with staged(where.target, contents) as staging:
        finding = probe(_staged(where, source, contents, staging), tell)
        if finding.refused:
            raise ArtifactError(f"the packed model could not be served, and is not kept: {finding.refused.message}")
        with (staging / CARD).open("a", encoding="utf-8") as card:
            card.write(measured(finding))
        put(staging, where.target)
    return finding


def _staged(where: Shelf, source: ModelSource, contents: Contents, staging: Path) -> ModelSource:
    """The directory as a service would find it, with a lock that pins all of it."""
    pins = {f"{staging.name}/{name}": content.sha256 for name, content in contents.items()}
    settings = msgspec.structs.replace(source.settings, inputs=None, code_path=())
    warrant = Warrant(Lock(staging.parent / LOCK_NAME, pins), "")
    return source_of(Place(where.name, where.version, staging, staging), settings, warrant)


def _told(where: Shelf, source: ModelSource, found: Found, finding: Finding | None) -> list[str]:
    if finding is None:
        return [f"{where.target} holds just that: nothing to do"]
    data = f"{found.reference.rows if found.reference else 'no'} rows of training data"
    held = ", ".join([_counted(len(found.fields), "input"), _counted(len(found.examples), "example"), data])
    lines = [f"packed {where.name} {where.version} into {where.target}: {held}"]
    if found.agreement:
        lines.append(f"target: {found.agreement.summary}")
    if finding.loaded and finding.loaded.certificate:
        lines.append(f"compiled: {finding.loaded.certificate.summary}")
    locked, served = where.served()
    lock = [shlex.join(["penstock", "lock", locked])] if risky_files(source.artifact) else []
    lines.append(f"next: {' && '.join([*lock, shlex.join(['penstock', 'serve', served])])}")
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
