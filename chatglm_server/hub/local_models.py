"""The models that are on this machine already, by the names under which ``--model`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from ..errors import ModelFileError
from . import address
from .base import Hub, LocalModel, matching
from .catalog import short_name
from .huggingface import HuggingFace
from .modelscope import ModelScope
from .other_programs import folder_models, lm_studio_models, ollama_models
from .references import Repository, Stored, near_names, read_reference

HUBS: dict[str, Hub] = {hub.prefix: hub for hub in (HuggingFace(), ModelScope())}
_STORES: tuple[Callable[[], Iterator[LocalModel]], ...] = (
    *(hub.cached for hub in HUBS.values()),
    *(address.cached, ollama_models, lm_studio_models, folder_models),
)


def local_models() -> list[LocalModel]:
    """All models here, each under its shortest name. A store that cannot be read counts as empty."""
    models = _all(_STORES)
    return [replace(model, name=_shortest_name(model, models)) for model in models]


def _all(stores: Iterable[Callable[[], Iterator[LocalModel]]]) -> list[LocalModel]:
    """What `stores` hold, as far as they can be read."""
    models: list[LocalModel] = []
    for store in stores:
        with suppress(OSError, RuntimeError):  # no permission; no home folder
            models += store()
    return models


def in_cache(repository: Repository) -> list[LocalModel]:
    """The models of a repository that are in the cache of its hub's tools and match what is wanted of it."""
    name = f"{repository.hub}:{repository.name}".lower()
    return matching([model for model in local_models() if model.repository.lower() == name], repository.wanted)


def stored(name: str) -> LocalModel:
    """The model of this name in another program's store. Raises: ModelFileError."""
    models = {model.name: model for model in _all((ollama_models, lm_studio_models))}
    model = models.get(name) or models.get(f"{name}:latest")
    if model:
        return model
    hint = near_names(name, list(models)) or "chatglm-server list shows what is there"
    raise ModelFileError(f"{name}: no such model on this machine; {hint}")


def remove(name: str) -> tuple[LocalModel, int]:
    """Deletes a model that came from a hub or an address. Returns it, and the bytes that became free.

    Raises: ModelFileError.
    """
    reference = read_reference(name)
    if isinstance(reference, Repository):
        models = in_cache(reference)
    elif isinstance(reference, Stored):
        models = [stored(reference.name)]
    else:
        models = [model for model in local_models() if name in (model.name, *map(str, model.paths))]
    if not models:
        raise ModelFileError(f"{name}: not among the models here; chatglm-server list shows them")
    if len(models) > 1:
        raise ModelFileError(f"{name}: means several; name one of {', '.join(model.name for model in models)}")
    model = models[0]
    if model.removal:
        raise ModelFileError(f"{name}: not fetched by this server, but found in {model.store}; {model.removal}")
    try:
        return model, HUBS[model.repository[:2]].remove(model) if model.repository else address.remove(model)
    except OSError as error:
        raise ModelFileError(f"{model.paths[0]}: {error.strerror}") from None


def _shortest_name(model: LocalModel, models: Sequence[LocalModel]) -> str:
    """A repository's model is named by its quantization, if only one file here has that."""
    if not model.repository:
        return model.name
    same = [other for other in models if other.repository == model.repository]
    unique = model.quantization and len(matching(same, model.quantization)) == 1
    wanted = model.quantization if unique else model.file
    hub, _, repository = model.repository.partition(":")
    short = short_name(hub, repository)
    if not short:
        return f"{model.repository}:{wanted}"
    return f"{short}:{wanted}" if hub == "hf" else f"{hub}:{short}:{wanted}"
