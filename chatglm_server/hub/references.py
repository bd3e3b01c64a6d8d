"""Names of models, as ``--model`` and ``pull`` take them."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from ..errors import ModelFileError
from .catalog import CATALOG
from .file_names import is_quantization, is_safe

HubPrefix = Literal["hf", "ms"]
_REPOSITORY = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_HOST = re.compile(r"[\w:-]+(?:\.[\w:-]+)*")
_PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?(huggingface\.co|hf\.co|hf-mirror\.com|modelscope\.cn)/(?!api/)([^?#]*).*", re.IGNORECASE
)
"""A page of a hub: with a scheme as a browser shows it, or without as in ``ollama run hf.co/OWNER/NAME:QUANTIZATION``.
Below ``/api/`` are servers."""
_REPOSITORY_PAGE = re.compile(
    r"(?:models/)?(?P<name>[^/]+/[^/]+?)"
    r"(?:/(?:summary|files|tree/(?:main|master)(?:/.*)?|(?:blob|resolve|file/view)/(?:main|master)/(?P<file>.+)))?/?"
)
_IN_PACKAGE = ("demo", "demo-glm4")
_SHOWN = 3
_LONGEST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of a hub. `wanted` is a file's name, a quantization, or "": the one that suits this machine."""

    hub: HubPrefix
    name: str
    wanted: str = ""

    def __str__(self) -> str:
        return f"{self.hub}:{self.name}" + (f":{self.wanted}" if self.wanted else "")


@dataclass(frozen=True, slots=True)
class Address:
    """The http(s) address of a GGUF file."""

    url: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The name of a model in the store of another program, such as ``ollama:glm4:9b``."""

    name: str


Reference = Repository | Address | Stored | Path


def is_address(text: str) -> bool:
    """True for any http(s) address."""
    return text.lower().startswith(("http://", "https://"))


def is_file_address(text: str) -> bool:
    """True for the http(s) address of a GGUF file."""
    return is_address(text) and re.split(r"[?#]", text)[0].lower().endswith(".gguf")


def is_server_address(text: str) -> bool:
    """True for an http(s) address that means neither a GGUF file nor a page of a hub, which are fetched."""
    return is_address(text) and not is_file_address(text) and not _PAGE.fullmatch(text)


def read_reference(text: str) -> Reference:
    """What the name of a model means. Raises: ModelFileError."""
    if not text:
        raise ModelFileError("the name of the model is empty; chatglm-server list shows what is here")
    prefix, _, rest = text.partition(":")
    if prefix.lower() in ("hf", "ms"):
        return _repository(prefix.lower(), rest, text)  # type: ignore[arg-type]  # mypy does not narrow it
    if page := _PAGE.fullmatch(text):
        return _of_page(page[1].lower(), page[2], text)
    if prefix in ("ollama", "lmstudio"):
        return Stored(text)
    if is_file_address(text):
        return _address(text)
    if is_address(text):
        raise ModelFileError(f"{text}: not the address of a .gguf file; for a repository write hf:OWNER/NAME")
    path = _path(text)
    if path is not None:
        return path
    if prefix.lower() in CATALOG:
        return _repository("hf", text, text)
    if text in _IN_PACKAGE:
        raise ModelFileError(f"{text}: is a part of this package, and need not be fetched; --model {text} serves it")
    if _REPOSITORY.fullmatch(prefix):
        raise ModelFileError(f"{text}: no such file; for a repository of Hugging Face write hf:{text}")
    raise ModelFileError(f"{text}: no such file, and no known name; {_known_names(prefix)}")


def near_names(name: str, names: list[str]) -> str:
    """ "did you mean …?" with those of `names` that are like `name`, or ""."""
    lower = {known.lower(): known for known in names}
    matches = difflib.get_close_matches(name.lower(), lower, _SHOWN, 0.6)
    near = [lower[match] for match in matches if match == name.lower() or name.lower() not in lower]
    return f"did you mean {' or '.join(near)}?" if near else ""


def _of_page(host: str, path: str, whole: str) -> Repository:
    """The repository, or the file in one, that a page of a hub shows. Raises: ModelFileError."""
    hub: HubPrefix = "ms" if host == "modelscope.cn" else "hf"
    match = _REPOSITORY_PAGE.fullmatch(path)
    if not match:
        raise ModelFileError(
            f"{whole}: not the page of a model, or not of its branch main; write {hub}:OWNER/NAME, or "
            f"{hub}:OWNER/NAME:FILE.gguf"
        )
    return _repository(hub, match["name"] + (f":{unquote(match['file'])}" if match["file"] else ""), whole)


def _repository(hub: HubPrefix, text: str, whole: str) -> Repository:
    """Raises: ModelFileError."""
    name, _, wanted = text.partition(":")
    if entry := CATALOG.get(name.lower()):
        name = entry.huggingface if hub == "hf" else entry.modelscope
        if not name:
            raise ModelFileError(f"{whole}: this name has no repository on ModelScope; write ms:OWNER/NAME")
    elif "/" not in name:
        raise ModelFileError(f"{whole}: no known name; {_known_names(name)}")
    if not _REPOSITORY.fullmatch(name):
        raise ModelFileError(f"{whole}: not a repository; write {hub}:OWNER/NAME, or {hub}:OWNER/NAME:QUANTIZATION")
    if wanted and not is_quantization(wanted) and not (wanted.lower().endswith(".gguf") and is_safe(wanted)):
        raise ModelFileError(f"{whole}: after the repository comes a quantization such as Q4_K_M, or a .gguf file")
    return Repository(hub, name, wanted)


def _address(text: str) -> Address:
    """Raises: ModelFileError."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ModelFileError(f"{text}: not an address") from None
    if not url.hostname or not _HOST.fullmatch(url.hostname) or not text.isprintable():
        raise ModelFileError(f"{text}: not an address of a file")
    if url.username or url.password or url.fragment or url.query not in ("", "download=true"):
        raise ModelFileError("--model: the address of a file must have no user, query or fragment: fetch it yourself")
    host = url.hostname if port is None else f"{url.hostname}:{port}"
    host = f"[{url.hostname}]" + (f":{port}" if port else "") if ":" in url.hostname else host
    if not is_safe(url.path[1:]):
        raise ModelFileError(f"{text}: the path of this address cannot name a file; fetch it yourself")
    return Address(f"{url.scheme}://{host}{url.path}")


def _path(text: str) -> Path | None:
    """Returns `text` as a path if a file is there or if it looks like a path, and else None. Raises: ModelFileError."""
    try:
        path = Path(text).expanduser()
        return path if path.exists() or _looks_like_path(text) else None
    except (OSError, RuntimeError, ValueError) as error:  # too long; no home folder; a zero byte
        raise ModelFileError(f"{text[:_LONGEST_SHOWN]}: {getattr(error, 'strerror', None) or error}") from None


def _looks_like_path(text: str) -> bool:
    return text.startswith((".", "~", "/")) or text.lower().endswith((".gguf", ".bin")) or text.count("/") > 1


def _known_names(name: str) -> str:
    """Returns a hint: the short names that are like `name`, or else all of them."""
    return near_names(name, list(CATALOG)) or f"a model is a file, or one of {', '.join(['demo', *CATALOG])}"
