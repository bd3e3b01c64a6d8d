"""From a model's name to its file on this machine: looks here first, and fetches what a hub's name asks for."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import ModelFileError
from . import address
from .base import Hub, RemoteFile, RemoteModel, matching
from .catalog import CATALOG, name_of, short_name
from .choice import choose, offer, preferred, some
from .file_names import is_model
from .local_models import HUBS, in_cache, stored
from .references import Address, Reference, Repository, Stored, near_names, read_reference
from .sizes import size_text
from .transfer import Download, DownloadStopped, check_disk, fetch, sha256_of
from .unfinished import Unfinished, noted, part_of

_log = logging.getLogger("chatglm_server")
_HASH = re.compile(r"(?:sha256-)?[0-9a-f]{40,64}")


def local_path(model: str, *, may_fetch: bool = True) -> Path:
    """The file that ``--model`` means; of a split model, the first part. Fetches a missing file if `may_fetch` is true.

    The network is asked only for a name of a hub's repository or an address, and only if the file is not here.

    Raises: ModelFileError.
    """
    reference = read_reference(model)
    if isinstance(reference, Path):
        return reference
    if isinstance(reference, Repository) and (models := in_cache(reference)):
        return preferred(models).paths[0]
    if isinstance(reference, Address) and (path := address.path_of(reference.url)).exists():
        return path
    if not may_fetch and not isinstance(reference, Stored):
        raise ModelFileError(f"{model}: is not on this machine; chatglm-server pull {model} fetches it")
    return pull(reference)


def model_id(model: str, path: Path, chat_format: str) -> str:
    """Returns the name under which clients ask for the model: its short name, or else the name of its file.

    Other programs may name a file by its hash. Then the name is that of the chat format.
    """
    name = model.partition(":")[0].lower()
    if name in CATALOG:
        return name
    if name == "ollama":
        return model.partition(":")[2]
    if _HASH.fullmatch(path.stem):
        return chat_format
    return re.sub(r"-\d{5}-of-\d{5}$", "", path.stem)


def pull(reference: Reference) -> Path:
    """Fetches what `reference` names, or compares it with the hub's hash if it is here.

    Raises: ModelFileError, DownloadStopped.
    """
    try:
        return _pull(reference)
    except KeyboardInterrupt:
        raise DownloadStopped("stopped; the same command goes on from there") from None


def _pull(reference: Reference) -> Path:
    """Raises: ModelFileError."""
    if isinstance(reference, Repository):
        return _pull_repository(reference)
    if isinstance(reference, Address):
        path = address.path_of(reference.url)
        return path if path.exists() else address.fetch_address(reference.url)
    if isinstance(reference, Stored):
        return stored(reference.name).paths[0]
    return reference


def _pull_repository(reference: Repository) -> Path:
    """Raises: ModelFileError."""
    hub = HUBS[reference.hub]
    entry = CATALOG.get(short_name(reference.hub, reference.name))
    models = hub.models(reference.name)
    model = _select(models, reference, entry.cache_bytes if entry else 0)
    if entry:
        _log.info("licence of the model: %s", entry.license)
    downloads = [_download(hub, reference.name, part) for part in model.parts]
    folder = model.parts[0].target.parent
    try:
        missing = sum(each.missing for each, part in zip(downloads, model.parts, strict=True) if not part.path.exists())
    except OSError as error:
        raise ModelFileError(f"{folder}: {error.strerror}") from None
    check_disk(folder, missing, str(reference), hub.folder_option)
    unique = model.quantization and len(matching(models, model.quantization)) == 1
    repository = f"{reference.hub}:{reference.name}"
    note = Unfinished(
        name=name_of(repository, model.quantization if unique else model.file),
        store=hub.title,
        parts=[part_of(download, part.path) for part, download in zip(model.parts, downloads, strict=True)],
        repository=repository,
        file=model.file,
    )
    with noted(note):
        for part, download in zip(model.parts, downloads, strict=True):
            if part.path.exists():
                _check(part)
            else:
                _fetch(hub, part, download)
    return model.parts[0].path


def _select(models: Sequence[RemoteModel], reference: Repository, cache_bytes: int) -> RemoteModel:
    """The model that is wanted, or the one that suits this machine. Raises: ModelFileError."""
    wanted = reference.wanted
    if not models:
        near = near_names(reference.name.partition("/")[2], list(CATALOG))
        near = near or "chatglm-server convert makes one of the folder of a model"
        raise ModelFileError(f"{reference}: this repository has no GGUF file; {near}")
    found = matching(models, wanted)
    if not found:
        if wanted.endswith(".gguf") and not is_model(wanted):
            raise ModelFileError(f"{reference}: {wanted} is no language model; the repository has {offer(models)}")
        near = near_names(wanted, [model.file for model in models]) if wanted.endswith(".gguf") else ""
        raise ModelFileError(f"{reference}: not in this repository; {near or f'it has {offer(models)}'}")
    if not wanted:
        chosen, reason = choose(models, str(reference), cache_bytes)
        _log.info("%s: %s", reference, reason)
        found = matching(models, chosen.quantization)
    if len(found) > 1:
        files = some([model.file for model in found])
        raise ModelFileError(f"{reference}: several files fit; write {reference.hub}:{reference.name}:FILE of {files}")
    return found[0]


def _download(hub: Hub, repository: str, part: RemoteFile) -> Download:
    """Raises: ModelFileError."""
    return Download(
        title=part.name,
        url=part.url,
        target=part.target,
        size=part.size,
        sha256=part.sha256,
        headers=hub.headers(),
        refusals={status: hub.refusal(repository, status) for status in (401, 403, 404)},
        folder_option=hub.folder_option,
    )


def _fetch(hub: Hub, part: RemoteFile, download: Download) -> None:
    """Raises: ModelFileError."""
    _log.info("fetching %s (%s) from %s", part.name, size_text(part.size), hub.title)
    fetch(download)
    try:
        hub.publish(part)
    except OSError as error:
        raise ModelFileError(f"{part.path}: {error.strerror}") from None


def _check(part: RemoteFile) -> None:
    """A file that is here already must be the hub's. Raises: ModelFileError."""
    try:
        if part.path.stat().st_size == part.size and sha256_of(part.path) == part.sha256:
            _log.info("%s: is here already, with the right SHA-256", part.path)
            return
    except OSError as error:
        raise ModelFileError(f"{part.path}: {error.strerror}") from None
    raise ModelFileError(f"{part.path}: is not the file that the hub has now; delete it and pull again")
