"""Checks of what surrounds the server: versions, settings, disks, the port, proxies, and other programs' packages."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.request import proxy_bypass

from ... import __version__
from ...decoding.snapshots.folder import default_folder
from ...errors import ModelFileError
from ...hub.catalog import CATALOG
from ...hub.http_client import http_client
from ...hub.references import is_server_address
from ...hub.sizes import size_text
from ...settings import Settings
from ..listening import CannotListen, listen
from .finding import Finding

_CHATGLM_CPP = "0.4.2"
_LEAST_FREE_FOR_PROMPTS = 1 << 30  # less, and the server writes none
_LOOPBACK = ("127.0.0.1", "localhost")
_REPLAY = "replay:"
_TIMEOUT_S = 5.0
_ONLY_BEFORE_A_SERVER = ("upstream_api_key", "think_filter")


def check_version() -> Finding:
    """The versions of the server, of Python and of the system."""
    system = f"{platform.system()} {platform.release()} ({platform.machine()})"
    return Finding("version", "ok", f"chatglm-server {__version__}, Python {platform.python_version()}, {system}")


def check_settings(settings: Settings) -> Finding:
    """The names of the settings in the environment and in ``.env``: their values may be secrets."""
    foreign = {value.option: value.name for value in settings.foreign if value.used}
    own = [f"CHATGLM_{name.upper()}" for name in sorted(settings.model_fields_set - foreign.keys())]
    theirs = [name for option, name in foreign.items() if option not in _ONLY_BEFORE_A_SERVER]
    if not own and not theirs:
        return Finding("settings", "ok", "nothing is set by the environment or .env")
    found = f"the environment or .env sets {', '.join([*own, *theirs])}"
    if theirs:
        advice = f"unset {', '.join(theirs)} if they are meant for other programs"
        return Finding("settings", "warning", found, advice)
    return Finding("settings", "ok", found)


def check_model(settings: Settings) -> Finding:
    """The model that the server would serve: its file is read, but not its weights."""
    from ...context_length import check_memory
    from ...loader import model_path
    from ...model_files.containers import read_model_file

    model = settings.model
    if settings.openai_base_url and "model" not in settings.model_fields_set:
        return Finding("model", "ok", "that of the server in OPENAI_BASE_URL")
    if model.startswith(_REPLAY) or is_server_address(model):
        return Finding("model", "ok", f"{model}: not looked at")
    try:
        file = read_model_file(model_path(model, may_fetch=False))
        check_memory(file.spec)
    except ModelFileError as error:
        return Finding("model", "problem", error.message, "CHATGLM_MODEL chooses another")
    return Finding("model", "ok", f"{model}: {file.chat_format}, {size_text(file.size)}")


def check_models_disk() -> Finding:
    """The disk that ``pull`` writes to."""
    from huggingface_hub import constants

    least = int(min(entry.size_gb for entry in CATALOG.values()) * 1e9)
    advice = f"the smallest model takes {size_text(least)}: make room, or choose another folder with HF_HUB_CACHE"
    return _check_disk("models", Path(constants.HF_HUB_CACHE), least, advice)


def check_prompts_disk(most_mb: int) -> Finding:
    """The disk that keeps long prompts. `most_mb` is the option ``--kv-disk-mb``."""
    if not most_mb:
        return Finding("prompts", "ok", "none are kept on disk: CHATGLM_KV_DISK_MB is 0")
    try:
        folder = default_folder()
    except ModelFileError:
        return Finding(
            "prompts", "warning", "this user has no home folder", "set XDG_CACHE_HOME, or no prompts are kept"
        )
    advice = "with less than 1.07 GB free, no prompts are kept: make room, or choose another folder with XDG_CACHE_HOME"
    return _check_disk("prompts", folder, _LEAST_FREE_FOR_PROMPTS, advice)


def _check_disk(check: str, folder: Path, wanted: int, advice: str) -> Finding:
    try:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(check, "problem", f"{folder}: {error.strerror}", advice)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        fault = "cannot be written to" if existing.is_dir() else "is not a folder"
        return Finding(check, "problem", f"{folder}: {existing} {fault}", advice.rpartition("or ")[2])
    found = f"{folder}: {size_text(free)} of disk are free"
    return Finding(check, "ok", found) if free >= wanted else Finding(check, "warning", found, advice)


def check_port(host: str, port: int) -> Finding:
    """The address that the server would listen on."""
    try:
        sockets = listen(host, port)
    except CannotListen as error:
        found, _, advice = str(error).partition("; ")
        return Finding("port", "problem", found, advice or "choose another address with CHATGLM_HOST and CHATGLM_PORT")
    for listening in sockets:
        listening.close()
    return Finding("port", "ok", f"{port} of {host} is free")


def check_proxies() -> Finding:
    """Proxies of the environment: whether they catch what is for this machine, and whether downloads can use them."""
    try:
        http_client(_TIMEOUT_S).close()
    except ModelFileError as error:
        return Finding("proxies", "problem", error.message, "correct or unset that variable: downloads would fail")
    names = [name for name in os.environ if name.lower() in ("http_proxy", "all_proxy") and os.environ[name]]
    caught = [host for host in _LOOPBACK if not proxy_bypass(host)]
    if names and caught:
        found = f"clients would send what is for {' and '.join(caught)} to the proxy of {' and '.join(names)}"
        return Finding("proxies", "warning", found, f"export NO_PROXY={','.join(_LOOPBACK)}")
    return Finding("proxies", "ok", f"{' and '.join(names)} leaves this machine out" if names else "none in the way")


def check_chatglm_cpp() -> Finding:
    """The package chatglm-cpp, which only ChatGLM-6B and P-tuned models need. It is not imported: it may crash."""
    advice = f"CMAKE_POLICY_VERSION_MINIMUM=3.5 pip install chatglm-cpp=={_CHATGLM_CPP}"
    try:
        found = version("chatglm-cpp")
    except PackageNotFoundError:
        spec = importlib.util.find_spec("chatglm_cpp")
        if spec is None:
            return Finding("chatglm-cpp", "ok", "not installed; only ChatGLM-6B and P-tuned models need it")
        place = next(iter(spec.submodule_search_locations or []), spec.origin)
        return Finding("chatglm-cpp", "warning", f"{place} stands in for the package", "start in another folder")
    if found != _CHATGLM_CPP:
        text = f"version {found}; ChatGLM-6B and P-tuned models need {_CHATGLM_CPP}"
        return Finding("chatglm-cpp", "warning", text, advice)
    return Finding("chatglm-cpp", "ok", f"version {found}")
