#!/usr/bin/env python3
"""How soon a server that was started again answers a long prompt that it has read before.

    python scripts/bench_restart.py

A server reads a prompt of --tokens random tokens and writes its keys and values to disk, in a folder of its own. Then
it is stopped, and for each round started again with the same folder, whose files are dropped from the page cache first.
Figures are seconds from sending the request to the first token of its answer; the start of the server is not counted.
Every answer has to be the same, or this fails. Without --model, a random model with the shape of ChatGLM3-6B-32k is
written, in Q4_0, with --layers layers: keys and values are those of as many layers, and so is the time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import httpx  # noqa: E402
from benchmark import machine  # noqa: E402
from benchmark.model_pair import default_folder  # noqa: E402
from benchmark.random_model import write_random_model  # noqa: E402
from benchmark.servers import Server, ServerFailed, ours  # noqa: E402

from chatglm_server.decoding.snapshots import folder as blocks  # noqa: E402
from chatglm_server.decoding.snapshots.blocks import BLOCK  # noqa: E402
from chatglm_server.model_files.chatglm_bin_layout import DType  # noqa: E402

_WAIT_S = 60
_LEAST_TOKEN, _MOST_TOKEN = 300, 3000
"""Of the prompt: tokens of every vocabulary, and no special ones."""


def main() -> int:
    """Exit status 0, 1 if a server failed or an answer differs, 130 if interrupted."""
    options = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server is stopped
    try:
        with tempfile.TemporaryDirectory(prefix="chatglm-restart-", dir=options.folder) as cache:
            model = options.model or str(random_model(options.folder, options.layers))
            os.environ["XDG_CACHE_HOME"] = cache
            report(options, model, *measure(options, model))
    except (ServerFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", help="model to serve instead of a random one")
    add("--layers", type=int, default=4, help="layers of the random model (4)")
    add("--tokens", type=int, default=20_000, help="length of the prompt (20000)")
    add("--rounds", type=int, default=5, help="restarts (5)")
    add("--kv-cache-type", default="auto", help="as for the server")
    add("--after-s", default="2", help="as for the server's --kv-disk-after-s (2)")
    add("--folder", type=Path, default=default_folder(), help="where the model and the cache are kept (%(default)s)")
    return parser.parse_args()


def random_model(folder: Path, layers: int) -> Path:
    """The model's file, written if it does not exist. Raises: OSError."""
    path = folder / f"random-chatglm3-32k-{layers}-layers-q4_0.bin"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_random_model(path, layers, DType.Q4_0, context=32_768)
    return path


def measure(options: argparse.Namespace, model: str) -> tuple[float, list[float], int]:
    """Seconds when nothing is on disk, seconds of each round, and bytes on disk. Raises: ServerFailed."""
    context = options.tokens + 64
    words = ["--model", model, "--context-length", str(context), "--kv-disk-after-s", options.after_s]
    words += ["--kv-cache-type", options.kv_cache_type]
    draw = random.Random(1)
    prompt = [draw.randrange(_LEAST_TOKEN, _MOST_TOKEN) for _ in range(options.tokens)]
    root = blocks.default_folder()
    with ours(words, {}) as server:
        cold, answer = first_token(server, prompt)
        wait_for_blocks(root, options.tokens // BLOCK)
    warm = []
    for _ in range(options.rounds):
        drop_from_memory(root)
        with ours(words, {}) as server:
            seconds, again = first_token(server, prompt)
        if again != answer:
            raise ServerFailed(f"the answer differs: {again!r}, not {answer!r}")
        warm.append(seconds)
        print(f"cold {cold:.2f} s, restarted {seconds:.3f} s", file=sys.stderr, flush=True)
    return cold, warm, sum(file.size for file in blocks.stored_files(root))


def first_token(server: Server, prompt: list[int]) -> tuple[float, str]:
    """Seconds to the first token, and the answer. Raises: ServerFailed."""
    body = {"model": server.model, "prompt": prompt, "max_tokens": 16, "temperature": 0, "stream": True}
    body |= {"logprobs": 0}  # so that each token has an event
    began, first, text = time.perf_counter(), 0.0, ""
    with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=None) as response:  # noqa: S113
        for line in response.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line[6:]).get("choices")
                if choices is None:
                    raise ServerFailed(line)
                first = first or time.perf_counter() - began
                text += "".join(choice["text"] for choice in choices)
    if not first:
        raise ServerFailed(f"status {response.status_code}")
    return first, text


def wait_for_blocks(root: Path, count: int) -> None:
    """Raises: ServerFailed if the blocks of the prompt are not on disk in time."""
    deadline = time.monotonic() + _WAIT_S
    while sum(1 for _ in blocks.stored_files(root)) < count:
        if time.monotonic() > deadline:
            raise ServerFailed(f"there are not {count} blocks on disk after {_WAIT_S} s")
        time.sleep(0.1)


def drop_from_memory(root: Path) -> None:
    """Have the files read from the disk next time."""
    for stored in blocks.stored_files(root):
        with stored.path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report(options: argparse.Namespace, model: str, cold: float, warm: list[float], size: int) -> None:
    """Print the figures."""
    for line in machine.describe(machine.usable_cpus()):
        print(line)
    print(f"model: {Path(model).name}; prompt: {options.tokens} tokens; on disk: {size / 1e6:.0f} MB")
    middle = median(warm)
    share = f"{100 * middle / cold:.1f}% ({100 * min(warm) / cold:.1f}-{100 * max(warm) / cold:.1f})"
    print(f"first token: cold {cold:.2f} s, restarted {middle:.3f} s ({len(warm)} rounds): {share}")


if __name__ == "__main__":
    sys.exit(main())
