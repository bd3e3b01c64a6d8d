"""The models that are on this machine already, by the names under which ``--model`` takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from ..errors import ModelFileError
from . import address
from .base import Hub, LocalModel, matching
from .catalog import name_of
from .huggingface import HuggingFace
from .modelscope import ModelScope
from .other_programs import folder_models, lm_studio_models, ollama_models
from .references import Address, Repository, Stored, near_names, read_reference
from .transfer import discard
from .unfinished import Unfinished, unfinished_models

HUBS: dict[str, Hub] = {hub.prefix: hub for hub in (HuggingFace(), ModelScope())}
_Fetched = TypeVar("_Fetched", LocalModel, Unfinished)
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
        with suppress(OSError, RuntimeError, ModelFileError):  # no permission; no home folder
            models += store()
    return models


def in_cache(repository: Repository) -> list[LocalModel]:
    """Returns the models that `repository` names and that are on this machine."""
    return _of_repository(local_models(), repository)


def stored(name: str) -> LocalModel:
    """The model of this name in another program's store. Raises: ModelFileError."""
    models = {model.name: model for model in _all((ollama_models, lm_studio_models))}
    model = models.get(name) or models.get(f"{name}:latest")
    if model:
        return model
    hint = near_names(name, list(models)) or "chatglm-server list shows what is there"
    raise ModelFileError(f"{name}: no such model on this machine; {hint}")


def unfinished() -> list[Unfinished]:
    """Returns the downloads that stopped before their end; ``pull`` goes on with them."""
    with suppress(OSError, ModelFileError):
        return list(unfinished_models())
    return []


def remove(name: str) -> tuple[str, int]:
    """Deletes a model, or a part of one, that came from a hub or an address.

    Returns its name, and the bytes that became free.

    Raises: ModelFileError.
    """
    reference = read_reference(name)
    models: list[LocalModel | Unfinished]
    if isinstance(reference, Repository):
        models = [*in_cache(reference), *_of_repository(unfinished(), reference)]
    elif isinstance(reference, Stored):
        models = [stored(reference.name)]
    else:
        known = reference.url if isinstance(reference, Address) else name
        models = [model for model in local_models() if known in (model.name, *map(str, model.paths))]
        models += [model for model in unfinished() if model.name == known]
    if not models:
        raise ModelFileError(f"{name}: not among the models here; chatglm-server list shows them")
    if len(models) > 1:
        raise ModelFileError(f"{name}: means several; name one of {', '.join(model.name for model in models)}")
    model, freed = models[0], 0
    try:
        if isinstance(model, Unfinished):
            freed = sum(discard(part.partial, model.name) for part in model.parts)
            paths = [part.path for part in model.parts if part.path.exists()]
            model = LocalModel(model.name, model.store, paths, model.repository, model.file)
        elif model.removal:
            raise ModelFileError(f"{name}: not fetched by this server, but found in {model.store}; {model.removal}")
        store = HUBS[model.repository[:2]] if model.repository else address
        return model.name, freed + store.remove(model)
    except OSError as error:
        raise ModelFileError(f"{name}: {error.filename or model.name}: {error.strerror}") from None


def _of_repository(models: Iterable[_Fetched], reference: Repository) -> list[_Fetched]:
    """Returns those of `models` that `reference` names."""
    name = f"{reference.hub}:{reference.name}".lower()
    return matching([model for model in models if model.repository.lower() == name], reference.wanted)


def _shortest_name(model: LocalModel, models: Sequence[LocalModel]) -> str:
    """A repository's model is named by its quantization, if only one file here has that."""
    if not model.repository:
        return model.name
    same = [other for other in models if other.repository == model.repository]
    unique = model.quantization and len(matching(same, model.quantization)) == 1
    wanted = model.quantization if unique else model.file
    return name_of(model.repository, wanted)
