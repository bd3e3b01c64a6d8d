"""Mutates GGUF files and reads them as the server does: ``python -m tests.gguf_fuzz FILES [SEED]``.

A file is read, its tokenizer is made, and the compute core checks its spec; a model that passes is loaded and reads a
token. Each must end in a result or in an error of one line. The memory that the process may take is limited, and so is
the time for a file.
"""

from __future__ import annotations

import random
import resource
import signal
import struct
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import chatglm_native

from chatglm_server.decoding.backends.native import native_obstacle
from chatglm_server.errors import ModelFileError
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from tests.random_expert_gguf import AIR, FLASH
from tests.random_gguf import CHATGLM3, GLM4_0414, GLM4_TEMPLATE, Kind, write_random_gguf

MEMORY = 1 << 30
"""Bytes that reading may take beside what the program takes itself."""
SECONDS = 20
SMALL: dict[str, Any] = {
    "layers": 1,
    "hidden": 32,
    "heads": 2,
    "kv_heads": 1,
    "head_size": 16,
    "ffn": 32,
    "context": 64,
}
EXPERTS: dict[str, Any] = {"dense_layers": 0, "experts": 2, "used": 1, "expert_ffn": 32}
LATENT: dict[str, Any] = {"head_size": 32, "rotary": 16, "value": 16, "query_rank": 32, "rank": 32}
NUMBERS = [0, 1, 2, 7, 31, 32, 63, 64, 127, 128, 255, 256, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
NUMBERS += [1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


def write_seeds(folder: Path) -> list[bytes]:
    """Good files of every architecture and vocabulary; one is the first part of two."""
    kinds = [Kind.F32, Kind.Q8_0, Kind.Q4_0, Kind.F16]
    chatglm3, glm4 = replace(CHATGLM3, **SMALL), replace(GLM4_0414, **SMALL, sections=(2, 1, 1, 0))
    write_random_gguf(folder / "seed.gguf", glm4, vocabulary="none", split=9)
    paths = [
        write_random_gguf(folder / "chatglm3.gguf", chatglm3, kinds, vocabulary="llama"),
        write_random_gguf(folder / "glm4.gguf", glm4, kinds, template=GLM4_TEMPLATE),
        write_random_gguf(folder / "air.gguf", replace(AIR, **(SMALL | EXPERTS)), kinds, vocabulary="none"),
        write_random_gguf(
            folder / "flash.gguf", replace(FLASH, **(SMALL | EXPERTS | LATENT)), kinds, vocabulary="none"
        ),
        folder / "seed-00001-of-00002.gguf",
    ]
    return [path.read_bytes() for path in paths]


def mutated(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """A file with one to four faults, most of them in its header."""
    header = data.rindex(b".weight") + 64
    made = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 1, 2, 4])):
        end = min(header if draw.random() < 0.95 else len(made), len(made))
        place = draw.randrange(max(1, end))
        length = draw.choice([1, 2, 4, 8, 16, 100])
        match draw.choice([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7]):
            case 0:
                made[place : place + 1] = bytes([made[place] ^ 1 << draw.randrange(8)])
            case 1:
                made[place : place + 1] = bytes([draw.randrange(256)])
            case 2:
                made[place : place + 4] = struct.pack("<I", draw.choice(NUMBERS) & 0xFFFFFFFF)
            case 3:
                made[place : place + 8] = struct.pack("<Q", draw.choice(NUMBERS))
            case 4:
                del made[place : place + length]
            case 5:
                made[place:place] = draw.randbytes(length)
            case 6:
                made[place:place] = made[place : place + length]
            case _:
                begin = draw.randrange(len(other))
                made[place : place + length] = other[begin : begin + length]
    return bytes(made[: draw.randrange(len(made))] if draw.random() < 0.05 else made)


def outcome(path: Path) -> str:
    """How far a file gets."""
    try:
        file = read_model_file(path)
    except ModelFileError as error:
        assert str(path) in error.message, error.message
        assert error.message.isprintable(), error.message
        return "refused"
    try:
        tokenizer = file.load_tokenizer(FORMATS[file.chat_format])
    except ModelFileError as error:
        assert error.message.isprintable(), error.message
        tokenizer = None
    if native_obstacle(file.spec):
        return "refused by the core"
    model = chatglm_native.Model(chatglm_native.ThreadPool(1), file.spec, context=8, slots=1)
    model.forward([(0, 0, 0)], [0])
    return "without a tokenizer" if tokenizer is None else "served"


def main(count: int, seed: int) -> None:
    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds = write_seeds(folder)
        draw = random.Random(seed)
        path = folder / "seed-00001-of-00002.gguf"  # so that the second part is found
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        for _ in range(count):
            path.write_bytes(mutated(draw.choice(seeds), draw.choice(seeds), draw))
            signal.alarm(SECONDS)
            outcomes[outcome(path)] += 1
            signal.alarm(0)
    print(dict(outcomes))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
