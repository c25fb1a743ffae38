"""Where the model's own code went wrong: the part of a traceback that its author can do something about."""

import site
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

_NOT_OWN = tuple(
    {
        str(Path(folder).resolve()) + "/"
        for folder in (*sysconfig.get_paths().values(), *site.getsitepackages(), str(Path(__file__).parents[1]))
    }
)


def print_own(error: BaseException) -> None:
    """Prints the traceback from the first frame of the model's own code on; nothing where there is no such frame.

    What libraries do with a model that they cannot use is said by the error alone.
    """
    own = error.__traceback__
    while own is not None and not _is_own(own):
        own = own.tb_next
    if own is not None:
        traceback.print_exception(type(error), error, own)


def _is_own(frame: TracebackType) -> bool:
    """Whether a file that is neither Python's, nor Penstock's, nor of any installed package is being run."""
    path = Path(frame.tb_frame.f_code.co_filename)
    return path.is_file() and not str(path.resolve()).startswith(_NOT_OWN)
