"""``chatglm-server show MODEL``: what a model file is, what memory it takes, and how fast this machine would run it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import chatglm_native

from ..context_length import LEAST, default_context, room_for_tokens
from ..errors import ModelFileError
from ..formats.registry import FORMATS
from ..hub.sizes import size_text
from ..loader import model_path
from ..memory import memory_limit
from ..model_files.containers import read_model_file
from ..model_files.model_file import ModelFile, with_cache_type
from ..model_files.spec import ModelSpec
from ..model_files.tokenizer import Tokenizer
from ..model_files.weight_types import WEIGHT_TYPES
from .commands import ShowOptions
from .speed import MachineSpeed, measure_machine, rate_text
from .wrapped_text import wrapped

_PROBE_S = 1.0


def show(options: ShowOptions) -> int:
    """Print what a model file is. Returns the exit status, 0. Raises: ModelFileError."""
    file = with_cache_type(read_model_file(model_path(options.model, may_fetch=False)), options.kv_cache_type)
    print(file.path)
    for name, text in _lines(file):
        print(wrapped(text, f"  {name:<13} "), flush=True)
    return 0


def _lines(file: ModelFile) -> Iterator[tuple[str, str]]:
    spec = file.spec
    parts = len(file.files)
    yield "file", f"{file.container}, {size_text(file.size)}" + (f" in {parts} parts" if parts > 1 else "")
    yield (
        "architecture",
        f"{file.architecture}: {spec.layers} layers of {spec.hidden_size}, feed-forward {spec.ffn_size}, "
        f"{spec.heads} heads, {_keys_and_values(spec)}",
    )
    if (experts := spec.experts) is not None:
        yield (
            "experts",
            f"{experts.count} of {experts.ffn_size} in {spec.layers - experts.dense_layers} layers, a token uses "
            f"{experts.used} and {experts.shared_ffn_size // experts.ffn_size} that all share",
        )
    active = f", {_count(spec.used_parameters)} for a token" if spec.experts is not None else ""
    yield "parameters", _count(spec.parameters) + active
    shares = (f"{name} {nbytes / spec.nbytes:.0%}" for name, nbytes in spec.bytes_by_type.items())
    yield "weights", f"{', '.join(shares)} of the bytes; {8 * spec.nbytes / spec.parameters:.2f} bits a parameter"
    yield "context", f"{spec.context_length} tokens"
    yield "chat format", f"{file.chat_format}: {file.chat_format_reason}"
    yield "end tokens", _end_tokens(file)
    yield "memory", _memory(spec)
    try:
        chatglm_native.check(spec)
    except (RuntimeError, ValueError) as error:
        yield "speed", f"the native core cannot run it: {error}"
        return
    machine = measured_for(spec, _PROBE_S)
    yield (
        "speed",
        f"{speed_text(spec, machine)} ({machine.threads} CPUs, {machine.kernels}: {size_text(int(machine.read))} and "
        f"{machine.computed / 1e9:.0f} billion products a second)",
    )


def _end_tokens(file: ModelFile) -> str:
    """The tokens that end an answer: those that the file names, and the chat format's. Raises: ModelFileError."""
    chat_format = FORMATS[file.chat_format]
    try:
        tokenizer = file.load_tokenizer(chat_format)
    except ModelFileError as error:
        raise ModelFileError(f"{file.path}: {error.message}") from None
    names = {token: name for name, token in tokenizer.specials.items()}
    ends = file.end_tokens | {tokenizer.specials[name] for name in chat_format.stop_tokens}
    return " ".join(names[token] if token in names else _piece(tokenizer, token) for token in sorted(ends))


def _piece(tokenizer: Tokenizer, token: int) -> str:
    """A file may name an end token that is a row of the embedding, but no token of its tokenizer."""
    return tokenizer.piece(token) if token < tokenizer.size else f"token {token}"


def _memory(spec: ModelSpec) -> str:
    memory, in_container = memory_limit()
    place = "this container" if in_container else "this machine"
    context = default_context(spec)
    text = f"{size_text(spec.nbytes)} of weights and {size_text(spec.cache_bytes * context)} for {context} tokens"
    if context == spec.context_length:
        return f"{text}; {place} has {size_text(memory)}"
    if room_for_tokens(spec) < LEAST:
        return f"{text}; {place} has only {size_text(memory)}: choose a file with fewer bits a parameter"
    return f"{text}, which is all that fits: {place} has {size_text(memory)}"


def measured_for(spec: ModelSpec, seconds: float) -> MachineSpeed:
    """The speed of this machine with the weight type that takes the most bytes, measured for so many seconds."""
    kind = next(number for number, kind in WEIGHT_TYPES.items() if kind.name == next(iter(spec.bytes_by_type)))
    return measure_machine(kind, seconds)


def speed_text(spec: ModelSpec, machine: MachineSpeed) -> str:
    """The speed to expect: what a machine reads and multiplies in a second, divided by what one token needs."""
    matrices = [(tensor, spec.used_share(name)) for name, tensor in spec.tensors.items() if len(tensor.shape) > 1]
    answers = machine.read / sum(share * tensor.nbytes for tensor, share in matrices)
    prompts = machine.computed / sum(share * math.prod(tensor.shape) for tensor, share in matrices)
    return f"about {rate_text(answers)} tokens a second in answers, {rate_text(prompts)} in prompts"


def _keys_and_values(spec: ModelSpec) -> str:
    if spec.latent is not None:
        return f"which share keys and values of {spec.latent.rank} + {spec.rotary_size} numbers"
    return f"{spec.kv_heads} for keys and values"


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} billion" if parameters >= 1e9 else f"{parameters:,}"
