"""The backends: what can run a model file. To add one, write its class and add a line to `BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from ...errors import ModelFileError
from ...model_files.model_file import ModelFile
from ..runner import Runner
from ..snapshots.options import SnapshotOptions

_HERE = "chatglm_server.decoding.backends"
BACKENDS = {
    "native": f"{_HERE}.native:NativeBackend",
    "chatglm-cpp": f"{_HERE}.chatglm_cpp:ChatGLMCppBackend",
}
"""Name → ``"module:Class"``, imported when it is chosen. "auto" takes the first one that runs the file."""

KEPT_PREFIXES = 256
"""Slots that a backend has if an unused one costs nothing: those that no sequence uses keep prefixes."""


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """How a model is to be run. `threads` of None: as many as the CPUs that this process may use; `threads_on_battery`
    of None: as many as `threads`. `snapshots` of None: no prefixes are kept on disk.
    """

    context_length: int
    parallel: int = 1
    threads: int | None = None
    threads_on_battery: int | None = None
    cpu: str = "auto"
    snapshots: SnapshotOptions | None = None


class Backend(Protocol):
    """A way to run model files. Made without arguments; stateless."""

    gives_logits: bool
    """True if this project samples, so that all sampling parameters are honoured."""
    most_parallel: int | None
    """Sequences that can run at the same time; None: any number."""

    def obstacle(self, file: ModelFile) -> str:
        """Why this backend cannot run `file`; "" if it can."""
        ...

    def check(self, options: BackendOptions) -> None:
        """Raises: ModelFileError if this machine cannot do what `options` say."""
        ...

    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> Runner:
        """Load the weights; a progress bar may be shown.

        Raises: ModelFileError; ShuttingDown once `stopping` says so.
        """
        ...


def choose_backend(name: str, file: ModelFile, options: BackendOptions) -> Backend:
    """The backend `name`; for "auto" the first one that runs `file`. Raises: ModelFileError."""
    refusals = ""
    for candidate in BACKENDS if name == "auto" else [name]:
        backend = _load(candidate)
        if obstacle := backend.obstacle(file):
            refusals += f"the {candidate} backend cannot run it: {obstacle}; "
            continue
        try:
            backend.check(options)
        except ModelFileError as error:
            raise ModelFileError(f"{file.path}: {refusals}{error.message}" if refusals else error.message) from None
        return backend
    raise ModelFileError(f"{file.path}: {refusals}try --engine auto")


def load_unchanged(
    backend: Backend, file: ModelFile, digest: str, options: BackendOptions, stopping: Callable[[], bool]
) -> Runner:
    """`Backend.load`, for a file that was checked some time ago, when its digest was `digest`.

    Raises: ModelFileError; ShuttingDown once `stopping` says so.
    """
    try:
        changed = file.digest() != digest
    except OSError as error:
        raise ModelFileError(f"{error.filename}: {error.strerror}; the server needs it to load the model") from None
    if changed:
        raise ModelFileError(f"{file.path}: the file has changed since the server was started; start the server again")
    return backend.load(file, options, stopping)


def _load(name: str) -> Backend:
    module, _, class_name = BACKENDS[name].partition(":")
    backend: Backend = getattr(import_module(module), class_name)()
    return backend
