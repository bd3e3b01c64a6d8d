"""``chatglm-server convert``: a model's folder or file becomes a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

from ..convert.conversion import convert
from ..convert.mixes import MIXES
from ..decoding.backends.cpus import usable_cpus
from ..errors import BadOption, ModelFileError
from ..hub.sizes import size_text
from .commands import ConvertOptions


def run_convert(options: ConvertOptions) -> int:
    """Returns the exit status. Raises: BadOption, ModelFileError."""
    mix = options.type.lower() if options.type is not None else None
    if mix not in (None, *MIXES):
        raise BadOption(f"--type {options.type}: must be one of {', '.join(MIXES)}")
    if options.out.is_dir():
        raise BadOption(f"--out {options.out}: a folder; name the file to write in it")
    if options.out.exists() and options.out.samefile(options.model if options.model.exists() else options.out.parent):
        raise BadOption(f"--out {options.out}: is the model that is read; choose another name")
    threads = options.threads or usable_cpus()
    try:
        with _progress_bar() as progress:
            contents = convert(options.model, options.out, mix, threads, progress)
    except ModuleNotFoundError as error:
        raise BadOption(f"convert needs the package {error.name}: pip install 'chatglm-server[convert]'") from None
    except OSError as error:
        raise ModelFileError(f"{error.filename or options.out}: {error.strerror or error}") from None
    print(f"{options.out}: {size_text(contents.nbytes)}\nserve it: chatglm-server --model {options.out}")
    return 0


@contextmanager
def _progress_bar() -> Iterator[Callable[[int], Callable[[int], object]]]:
    """A bar that begins when the size of the file is known, with speed and time left."""
    bars: list[tqdm[NoReturn]] = []

    def begin(size: int) -> Callable[[int], object]:
        bars.append(tqdm(total=size, unit="B", unit_scale=True, desc="converting", delay=1, leave=False))
        return bars[0].update

    try:
        yield begin
    finally:
        for bar in bars:
            bar.close()
