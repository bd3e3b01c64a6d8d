"""From the settings to an engine: finds the model file, checks it, and knows how to load it."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from ..decoding.backends.native import NativeModel, check_processor, native_obstacle
from ..decoding.model import Model
from ..embeddings.embedder import SentenceEmbedder
from ..errors import BadOption, ModelFileError, ShuttingDown
from ..formats.registry import FORMATS
from ..model_files.chatglm_bin import ModelFile, read_model_file
from ..model_files.chatglm_bin_spec import model_spec
from ..model_files.tokenizer import load_tokenizer
from ..settings import Settings
from .base import Engine, ModelInfo
from .capabilities import LOGITS, Capability
from .local import LocalEngine
from .replay import load_replay
from .upstream.address import is_address_of, upstream_address
from .upstream.engine import load_upstream
from .upstream.text_formats import UpstreamOptions

_log = logging.getLogger("chatglm_server")
_PACKAGE = Path(__file__).parent.parent
DEMO_MODELS = {"demo": "demo-chatglm3.bin", "demo-glm4": "demo-glm4.bin"}


REPLAY = "replay:"


def load_engine(settings: Settings) -> Engine:
    """An engine whose file is checked; its `load` does the rest.

    Raises: BadOption, ModelFileError.
    """
    if settings.chat_format not in ("auto", *FORMATS):
        names = ", ".join(FORMATS)
        raise BadOption(f"--chat-format: {settings.chat_format!r} is not a format; choose auto or one of {names}")
    if settings.model.startswith(REPLAY):
        path = Path(settings.model.removeprefix(REPLAY)).expanduser()
        return load_replay(path, settings.alias, settings.chat_format, settings.context_length, settings.max_queue)
    address, note = _upstream(settings)
    if address:
        options = UpstreamOptions(
            settings.chat_format, settings.upstream_tools, settings.think_filter, settings.upstream_open_think
        )
        key = settings.upstream_api_key.get_secret_value() if settings.upstream_api_key else None
        notes = [text for text in (note, "is sent a key" if key else "") if text]
        return load_upstream(address, key, settings.upstream_timeout_s, options, "; ".join(notes))
    return load_local_engine(settings)


def _upstream(settings: Settings) -> tuple[str, str]:
    """The address of the server to stand in front of, "" if there is none, and a note where it was not asked for.

    ``OPENAI_BASE_URL`` is often set for clients, even to this very server's address; so it counts only where no model
    was chosen, and never if it would make this server its own backend.

    Raises: ModelFileError.
    """
    asked = settings.model.lower().startswith(("http://", "https://"))
    if not asked and (settings.openai_base_url is None or "model" in settings.model_fields_set):
        return "", ""
    address = settings.model if asked else settings.openai_base_url or ""
    source = "--model" if asked else "OPENAI_BASE_URL"
    try:
        address = upstream_address(address)
    except ModelFileError as error:
        raise ModelFileError(f"{source}: {error.message}") from None
    if not is_address_of(address, settings.host, settings.port):
        return address, "" if asked else "from OPENAI_BASE_URL; --model chooses another"
    if asked:
        raise ModelFileError(f"--model: {address} is the address of this server itself")
    _log.warning("OPENAI_BASE_URL is the address of this server itself: it is left to clients")
    return "", ""


def load_local_engine(settings: Settings) -> LocalEngine:
    """The engine for a model file. Raises: ModelFileError."""
    path = model_path(settings.model)
    file = read_model_file(path)
    family = file.family if settings.chat_format == "auto" else settings.chat_format
    _check_format(file, family)
    chat_format = FORMATS[family]
    try:
        tokenizer = load_tokenizer(file.family, file.tokenizer, chat_format)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error.message}") from None
    if tokenizer.size > file.header.vocab_size:
        raise ModelFileError(
            f"{path}: the file has {file.header.vocab_size} token embeddings, its tokenizer needs {tokenizer.size}"
        )
    context = _context_length(file, settings.context_length)
    backend = _backend(file, context, settings)
    info = ModelInfo(
        id=settings.model if settings.model in DEMO_MODELS else path.stem,
        aliases=tuple(settings.alias),
        context_length=context,
        chat_format=chat_format.name,
        supports_tools=chat_format.supports_tools,
        created=int(path.stat().st_mtime),
        note="a demonstration, not an assistant" if settings.model in DEMO_MODELS else "",
        capabilities=backend.capabilities,
        choices=backend.slots,
    )
    positions = max(context, (settings.kv_cache_mb << 20) // _cache_bytes(file))
    eos_token = file.header.eos_token_id
    return LocalEngine(info, chat_format, tokenizer, eos_token, backend.load, positions, settings.max_queue)


def load_embedder(settings: Settings) -> SentenceEmbedder | None:
    """The embedder, if one is asked for; its `load` reads the model.

    Raises: ModelFileError.
    """
    if settings.embedding_model is None:
        return None
    folder = settings.embedding_model.expanduser()
    return SentenceEmbedder(
        folder,
        settings.embedding_alias,
        settings.max_queue,
        settings.threads,
        aliases_chosen="embedding_alias" in settings.model_fields_set,
    )


def model_path(model: str) -> Path:
    """The file that ``--model`` means. Raises: ModelFileError."""
    if model in DEMO_MODELS:
        places = [_PACKAGE / "models" / DEMO_MODELS[model], _PACKAGE.parent / "models" / DEMO_MODELS[model]]
        for path in places:
            if path.is_file():
                return path
        raise ModelFileError(f"the demo model is missing: {places[0]}; install the package again")
    path = Path(model).expanduser()
    if path.is_dir():
        raise ModelFileError(f"{path}: is a folder; --model takes a chatglm.cpp .bin file")
    if not path.exists():
        raise ModelFileError(f"{path}: no such file; --model takes demo or the path of a chatglm.cpp .bin file")
    return path


def _check_format(file: ModelFile, family: str) -> None:
    """A format can stand in for another only where the tokenizer has its special tokens."""
    kinds = ({"chatglm"}, {"chatglm2", "chatglm3"}, {"glm4", "glm-z1"})
    if not any({file.family, family} <= kind for kind in kinds):
        raise ModelFileError(
            f"{file.path}: holds a {file.family} model, whose tokenizer does not fit --chat-format {family}"
        )


def _context_length(file: ModelFile, wanted: int | None) -> int:
    most = file.header.max_length
    if wanted is not None and wanted > most:
        raise ModelFileError(f"{file.path}: --context-length {wanted}: the model was made for at most {most} tokens")
    context = wanted or most
    per_token = _cache_bytes(file)
    cache = per_token * (context + file.header.num_virtual_tokens)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if cache > memory:
        raise ModelFileError(
            f"{file.path}: a context of {context} tokens takes {cache >> 30} GiB of memory, this machine has "
            f"{memory >> 30}; "
            f"try --context-length {min(context, memory // per_token // 4)}"
        )
    return context


def _cache_bytes(file: ModelFile) -> int:
    """Bytes of keys and values, in float16, that a token takes."""
    return model_spec(file).cache_bytes


@dataclass(frozen=True, slots=True)
class _Backend:
    """What computes a model file: how to load it, the sequences it holds, what it can do."""

    load: Callable[[Callable[[], bool]], Model]
    slots: int = 1
    capabilities: frozenset[Capability] = frozenset()


def _backend(file: ModelFile, context: int, settings: Settings) -> _Backend:
    """The backend for a file, by the engine that was chosen. Raises: ModelFileError."""
    spec = model_spec(file)
    obstacle = native_obstacle(spec)
    if settings.engine == "native" and obstacle:
        raise ModelFileError(f"{file.path}: the native core cannot run it: {obstacle}; try --engine chatglm-cpp")
    if settings.engine == "chatglm-cpp" or obstacle:
        why = "" if settings.engine == "chatglm-cpp" else f"{file.path}: the native core cannot run it: {obstacle}; "
        if "parallel" in settings.model_fields_set and settings.parallel > 1:
            _log.warning("--parallel %d: chatglm-cpp answers one request at a time", settings.parallel)
        return _Backend(_chatglm_cpp_loader(file, context, settings.threads, why))

    check_processor(settings.threads, settings.cpu)

    def load(stopping: Callable[[], bool]) -> Model:
        with _progress_bar(spec.nbytes) as bar:

            def progress(count: int) -> bool:
                bar.update(count - bar.n)
                return not stopping()

            return NativeModel(
                spec,
                context,
                slots=settings.parallel,
                threads=settings.threads,
                cpu=settings.cpu,
                progress=progress,
            )

    return _Backend(load, settings.parallel, LOGITS)


def _chatglm_cpp_loader(
    file: ModelFile, context: int, threads: int | None, why: str
) -> Callable[[Callable[[], bool]], Model]:
    if importlib.util.find_spec("chatglm_cpp") is None:
        raise ModelFileError(
            f"{why}chatglm-cpp, which does, is not installed: "
            "CMAKE_POLICY_VERSION_MINIMUM=3.5 pip install chatglm-cpp==0.4.2"
        )
    from ..decoding.backends.chatglm_cpp import ChatGLMCppModel, limit_threads

    def load(stopping: Callable[[], bool]) -> Model:
        if threads is not None:
            try:
                limit_threads(threads)
            except ValueError as error:
                raise ModelFileError(str(error)) from None
        _read_through(file, stopping)
        return ChatGLMCppModel(file.path, context, bidirectional=file.family == "chatglm")

    return load


def _progress_bar(size: int) -> tqdm[NoReturn]:
    """A bar of bytes, shown if loading takes over a second."""
    return tqdm(total=size, unit="B", unit_scale=True, desc="loading", delay=1, leave=False)


def _read_through(file: ModelFile, stopping: Callable[[], bool]) -> None:
    """Bring the file into the system's memory for chatglm_cpp, which only maps it.

    Without this its first request would wait for the disk.

    Raises: ShuttingDown once `stopping` returns True.
    """
    buffer = bytearray(8 << 20)
    with file.path.open("rb", buffering=0) as data, _progress_bar(file.size) as bar:
        while count := data.readinto(buffer):
            bar.update(count)
            if stopping():
                raise ShuttingDown("stopped while loading the model")
