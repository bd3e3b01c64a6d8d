"""Makes the engine and the embedder from the settings: finds the model file, checks it, and chooses a backend."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .context_length import (
    check_memory,
    context_length,
    room_for_tokens,
    usable_memory,
    warn_of_short_context,
)
from .decoding.backends import BACKENDS, Backend, BackendOptions, choose_backend, load_unchanged
from .decoding.snapshots.folder import default_folder
from .decoding.snapshots.options import SnapshotOptions
from .embeddings.embedder import SentenceEmbedder
from .engine.base import Engine, FileFacts, ModelInfo
from .engine.capabilities import LOGITS, Capability
from .engine.known_models import KnownModels
from .engine.local import LocalEngine
from .engine.recorder import Recorder
from .engine.replay import load_replay
from .engine.shelf import ShelfEngine
from .engine.upstream.address import is_address_of, upstream_addresses
from .engine.upstream.engine import load_upstream
from .engine.upstream.text_formats import UpstreamOptions
from .errors import BadOption, ModelFileError
from .formats.base import ChatFormat
from .formats.registry import FORMATS
from .hub.local_models import local_models
from .hub.pull import local_path, model_id
from .hub.references import is_server_address
from .model_files.containers import read_model_file
from .model_files.model_file import ModelFile, with_cache_type
from .settings import Settings

_log = logging.getLogger("chatglm_server")
_PACKAGE = Path(__file__).parent
DEMO_MODELS = {"demo": "demo-chatglm3.bin", "demo-glm4": "demo-glm4.bin"}
REPLAY = "replay:"


def load_engine(settings: Settings) -> Engine:
    """An engine whose file is checked; its `load` reads the weights.

    Raises: BadOption, ModelFileError.
    """
    if settings.chat_format not in ("auto", *FORMATS):
        names = ", ".join(FORMATS)
        raise BadOption(f"--chat-format: {settings.chat_format!r} is not a format; choose auto or one of {names}")
    if settings.engine not in ("auto", *BACKENDS):
        names = ", ".join(BACKENDS)
        raise BadOption(f"--engine: {settings.engine!r} is not an engine; choose auto or one of {names}")
    if settings.model.startswith(REPLAY):
        path = Path(settings.model.removeprefix(REPLAY)).expanduser()
        return load_replay(path, settings.alias, settings.chat_format, settings.context_length, settings.max_queue)
    addresses, note = _upstream(settings)
    if addresses:
        options = UpstreamOptions(
            settings.chat_format, settings.upstream_tools, settings.think_filter, settings.upstream_open_think
        )
        key = settings.upstream_api_key.get_secret_value() if settings.upstream_api_key else None
        notes = [text for text in (note, "is sent a key" if key else "") if text]
        return load_upstream(addresses, key, settings.upstream_timeout_s, options, "; ".join(notes))
    return _load_shelf(settings) if settings.models_max else load_local_engine(settings)


def _upstream(settings: Settings) -> tuple[list[str], str]:
    """The addresses of the backend servers ([] without one), and a note if they come from the environment.

    Clients often have ``OPENAI_BASE_URL`` set, maybe to this server's own address. So it counts only if no model was
    chosen, and never if it is the address of this server.

    Raises: ModelFileError.
    """
    asked = is_server_address(settings.model)
    if not asked and (settings.openai_base_url is None or "model" in settings.model_fields_set):
        return [], ""
    given = settings.model if asked else settings.openai_base_url or ""
    source = "--model" if asked else "OPENAI_BASE_URL"
    try:
        addresses = upstream_addresses(given)
    except ModelFileError as error:
        raise ModelFileError(f"{source}: {error.message}") from None
    own = [address for address in addresses if is_address_of(address, settings.host, settings.port)]
    if not own:
        return addresses, "" if asked else "from OPENAI_BASE_URL; --model chooses another"
    if asked:
        raise ModelFileError(f"--model: {own[0]} is the address of this server itself")
    _log.warning("OPENAI_BASE_URL is the address of this server itself: it is left to clients")
    return [], ""


def _load_shelf(settings: Settings) -> ShelfEngine:
    """The engine for all model files that are here. Raises: ModelFileError for a fault of the first."""
    others = settings.model_copy(update={"alias": [], "chat_format": "auto", "context_length": None})

    def describe(name: str, path: Path) -> ModelInfo:
        return _read(others.model_copy(update={"model": name}), path, name).info

    def open_model(name: str, path: Path) -> LocalEngine:
        return _engine(others.model_copy(update={"model": name}), path, name)

    first = load_local_engine(settings)
    path = model_path(settings.model, may_fetch=False)
    known = KnownModels(_shelf, describe)
    return ShelfEngine(first, path, known, open_model, settings.models_max, usable_memory(), settings.max_queue)


def _shelf() -> dict[str, Path]:
    """The models that ``chatglm-server list`` shows, but not the demonstrations, which have names of their own."""
    demos = {path.resolve() for name in DEMO_MODELS for path in _demo_places(name)}
    models = {model.name: model.paths[0] for model in local_models()}
    return {name: path for name, path in models.items() if path.resolve() not in demos}


@dataclass(frozen=True, slots=True)
class _Read:
    """A model file, checked, and how it will be run."""

    file: ModelFile
    chat_format: ChatFormat
    backend: Backend
    options: BackendOptions
    info: ModelInfo


def load_local_engine(settings: Settings) -> LocalEngine:
    """The engine for the model file that ``--model`` means. Raises: ModelFileError."""
    return _engine(settings, model_path(settings.model), settings.model if settings.model in DEMO_MODELS else None)


def _read(settings: Settings, path: Path, name: str | None) -> _Read:
    """What is at `path`, read without its weights and its tokenizer. Without a `name`, the file's own is taken.

    Raises: ModelFileError.
    """
    file = with_cache_type(read_model_file(path), settings.kv_cache_type)
    chat_format = FORMATS[file.chat_format if settings.chat_format == "auto" else settings.chat_format]
    check_memory(file.spec)
    context = context_length(file.spec, settings.context_length)
    name = model_id(settings.model, path, chat_format.name) if name is None else name
    options = BackendOptions(
        context,
        settings.parallel,
        settings.threads,
        settings.threads_on_battery,
        settings.cpu,
        _snapshot_options(settings, name),
    )
    backend = choose_backend(settings.engine, file, options)
    info = ModelInfo(
        id=name,
        aliases=tuple(settings.alias),
        context_length=context,
        chat_format=chat_format.name,
        supports_tools=chat_format.supports_tools,
        created=int(path.stat().st_mtime),
        note="a demonstration, not an assistant" if settings.model in DEMO_MODELS else "",
        capabilities=frozenset(
            {
                *(LOGITS if backend.gives_logits else ()),
                *([Capability.KEEP_THOUGHTS] if chat_format.thinking.keep else ()),
                Capability.CONTINUE,
            }
        ),
        choices=min(settings.parallel, backend.most_parallel or settings.parallel),
        thinking=chat_format.thinking.when,
        facts=_facts(file),
    )
    return _Read(file, chat_format, backend, options, info)


def _engine(settings: Settings, path: Path, name: str | None) -> LocalEngine:
    """The engine for the file at `path`. Raises: ModelFileError."""
    read = _read(settings, path, name)
    file, info = read.file, read.info
    try:
        tokenizer = file.load_tokenizer(read.chat_format)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error.message}") from None
    if tokenizer.size > file.spec.vocab_size:
        raise ModelFileError(
            f"{path}: the file has {file.spec.vocab_size} token embeddings, its tokenizer needs {tokenizer.size}"
        )
    if settings.context_length is None:
        warn_of_short_context(file.spec, info.context_length)
    if info.choices < settings.parallel and "parallel" in settings.model_fields_set:
        _log.warning("--parallel %d: this backend runs at most %d", settings.parallel, info.choices)
    prefixes = (settings.kv_cache_mb << 20) // file.spec.cache_bytes
    if "kv_cache_mb" not in settings.model_fields_set:
        prefixes = min(prefixes, room_for_tokens(file.spec))
    positions = max(info.context_length, prefixes)
    return LocalEngine(
        info,
        read.chat_format,
        tokenizer,
        file.end_tokens,
        partial(load_unchanged, read.backend, file, file.digest(), read.options),
        positions,
        settings.max_queue,
        settings.tool_grammar,
        speculates=settings.speculation == "auto",
        thinking_budget=settings.thinking_budget,
        recorder=None if settings.record is None else Recorder(settings.record.expanduser()),
        unload_after_s=settings.unload_after_s or math.inf,
        most_bytes=file.spec.nbytes + positions * file.spec.cache_bytes,
    )


def _snapshot_options(settings: Settings, name: str) -> SnapshotOptions | None:
    if not settings.kv_disk_mb:
        return None
    try:
        folder = default_folder()
    except ModelFileError:  # no home folder
        return None
    return SnapshotOptions(folder, settings.kv_disk_mb << 20, settings.kv_disk_after_s, name)


def _facts(file: ModelFile) -> FileFacts:
    parameters = file.spec.parameters
    return FileFacts(file.container, file.architecture, parameters, file.quantization, file.size, file.digest())


def load_embedder(settings: Settings) -> SentenceEmbedder | None:
    """The embedder, if the settings name one; its `load` reads the model.

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


def model_path(model: str, *, may_fetch: bool = True) -> Path:
    """The file that ``--model`` means; if a hub has it, it is fetched if it may. Raises: ModelFileError."""
    if model in DEMO_MODELS:
        places = _demo_places(model)
        for path in places:
            if path.is_file():
                return path
        raise ModelFileError(f"the demo model is missing: {places[0]}; install the package again")
    path = local_path(model, may_fetch=may_fetch)
    if path.is_dir():
        raise ModelFileError(
            f"{path}: is a folder; --model takes a GGUF file, which chatglm-server convert makes of "
            "a folder from Hugging Face"
        )
    if not path.exists():
        raise ModelFileError(f"{path}: no such file; chatglm-server list shows the models that are here")
    return path


def _demo_places(name: str) -> list[Path]:
    """Where a demo model may be: in the package, or beside it in a checkout."""
    return [folder / "models" / DEMO_MODELS[name] for folder in (_PACKAGE, _PACKAGE.parent)]
