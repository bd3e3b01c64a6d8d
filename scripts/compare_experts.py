#!/usr/bin/env python3
"""Which experts the core chooses, beside llama.cpp and beside exact arithmetic, in a model of GLM-4.7-Flash's widths.

    PYTHONPATH=. python scripts/compare_experts.py --type q4_k_m

The file has four layers, three of them with experts, random weights in the types of a real file of that name, and a
small vocabulary. It needs the extra `test`, 3 GB of disk while it runs, and some minutes for each type. These read it:

core         the fastest kernels of this machine.
llama.cpp    its defaults; "unpacked" without repacking, which other kernels read; "one by one" a token a pass.
exact        NumPy in float64, of the numbers that the file's blocks stand for; nothing else is rounded.

Each pair is compared at every token and layer: equal choices; tokens with equal sets of experts, of all and of those
whose sets are equal in all layers before; and how far the scores that a router chooses by are apart. A choice differs
where the last expert that was chosen is hardly better than the first that was not: so the median of this margin is
printed, of all tokens and of those whose sets differ here first, with the largest.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import combinations
from math import prod
from pathlib import Path

import llama_cpp
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark.random_gguf import SHAPES  # noqa: E402
from benchmark.random_weights import random_tensor  # noqa: E402
from benchmark.routers import ExactRouters, Run, core_run, llama_cpp_run  # noqa: E402

from chatglm_server.convert.gguf_writer import TensorData, write_gguf  # noqa: E402
from chatglm_server.convert.mixes import MIXES, tensor_type  # noqa: E402
from chatglm_server.model_files.containers import read_model_file  # noqa: E402
from chatglm_server.model_files.weight_types import WEIGHT_TYPES  # noqa: E402

LAYERS, FIRST, VOCABULARY = 4, 1, 4096
"""`FIRST` is the first layer with experts."""
F32 = 0
HEADER = "layer  equal choices  equal sets  if equal before  scores apart  margin  where sets differ (most)"


def write_model(path: Path, mix: str) -> None:
    """Embeddings deviate by 1, as after some layers of a trained model, so that no layer outweighs what it adds to."""
    shape = replace(SHAPES["glm-4.7-flash"], vocab_size=VOCABULARY)
    random = np.random.Generator(np.random.SFC64(0))

    def embedding(size: tuple[int, ...]) -> Iterator[memoryview]:
        yield random.standard_normal(size, np.float32).data

    tensors = []
    for name, size in shape.tensors(LAYERS).items():
        number = tensor_type(MIXES[mix], name, size, layers=LAYERS, heads_per_value=20, is_output=name[:7] == "output.")
        pieces = partial(random_tensor, random, name, size, WEIGHT_TYPES[number].name)
        if name == "token_embd.weight":
            number, pieces = F32, partial(embedding, size)
        nbytes = prod(size) // WEIGHT_TYPES[number].columns * WEIGHT_TYPES[number].nbytes
        tensors.append(TensorData(name, size, number, nbytes, pieces))
    write_gguf(path, shape.metadata(LAYERS), tensors)


def compare(names: str, one: Run, other: Run) -> None:
    """Prints a line for each layer, and one for the logits."""
    equal = (one.chosen == other.chosen).all(axis=2)
    choices = (one.chosen & other.chosen).sum(axis=2) / one.used
    margins = np.minimum(one.margins, other.margins)
    print(f"\n{names}\n{HEADER}")
    for layer, same in enumerate(equal):
        before = equal[:layer].all(axis=0)
        apart = np.sqrt(((one.ranks[layer] - other.ranks[layer]) ** 2).mean())
        differing = margins[layer][before & ~same]
        most = f"{np.median(differing):.4f} ({differing.max():.4f})" if len(differing) else "none"
        shares = f"{choices[layer].mean():15.2%}{same.mean():12.1%}{same[before].mean():17.1%}"
        print(f"{FIRST + layer:5}{shares}{apart:14.5f}{np.median(margins[layer]):8.4f}  {most}")
    cosines = (one.logits * other.logits).sum(axis=1)
    cosines /= np.linalg.norm(one.logits, axis=1) * np.linalg.norm(other.logits, axis=1)
    whole = equal.all(axis=0)
    least = cosines[whole].min(initial=1)
    print(f"  all{choices.mean():15.2%}; logits' cosine: median {np.median(cosines):.5f}, least {cosines.min():.4f},")
    print(f"       least of the {whole.mean():.0%} of tokens with equal sets in all layers {least:.5f}", flush=True)


def main() -> None:
    """Compares each pair of readers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--type", choices=MIXES, default="q4_k_m", help="mix of types of its weights (%(default)s)")
    parser.add_argument("--tokens", type=int, default=300, help="(%(default)s)")
    options = parser.parse_args()
    silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    ids = [int(token) for token in np.random.default_rng(1).integers(0, VOCABULARY, options.tokens)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_model(path, options.type)
        spec = read_model_file(path).spec
        runs = {
            "core": core_run(spec, ids, Path(folder)),
            "llama.cpp": llama_cpp_run(spec, ids),
            "llama.cpp unpacked": llama_cpp_run(spec, ids, repack=False),
            "llama.cpp one by one": llama_cpp_run(spec, ids, at_once=1),
            "exact": ExactRouters(spec).run(ids),
        }
    print(f"{options.type}, {options.tokens} tokens")
    for names in combinations(runs, 2):
        compare(" and ".join(names), runs[names[0]], runs[names[1]])


if __name__ == "__main__":
    main()
