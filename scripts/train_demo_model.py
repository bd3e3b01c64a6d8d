#!/usr/bin/env python3
"""Makes the demonstration models in `models/`: their training text, their tokenizers, the weights, and the model card.

    pip install ".[train]" && python scripts/train_demo_model.py

Everything comes from one seed and this repository; nothing is downloaded. See models/README.md for what to expect.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from chatglm_bin_writer import write_model  # noqa: E402
from demo_model import card, copying, evaluation, training, weights  # noqa: E402
from demo_model.engine import Runner  # noqa: E402
from demo_model.model import Network  # noqa: E402
from demo_model.recipes import RECIPES, Prepared, prepare  # noqa: E402
from demo_model.transfer import transfer  # noqa: E402

from chatglm_server.model_files.chatglm_bin import read_chatglm_bin  # noqa: E402

MEASURING_SEED = 99


def make(prepared: Prepared, folder: Path, seed: int, save_every: int) -> None:
    """Trains one model, writes its file and notes how it went."""
    recipe = prepared.recipe
    torch.manual_seed(seed)
    network = Network(prepared.shape)
    copying.seed(network)
    path = folder / f"{recipe.name}.bin"
    for other in RECIPES.values():
        if other.name == recipe.starts_from:
            file = folder / f"{other.name}.bin"
            known = prepare(other, seed, read_chatglm_bin(file).tokenizer)
            source = Network(known.shape)
            weights.load(source, file)
            rows = transfer(source, known, network, prepared)
            print(f"{recipe.name}: starts from {other.name}, with {rows} of its rows", flush=True)

    def report(step: int, line: str) -> None:
        print(f"{recipe.name}: {line}", flush=True)
        if step == recipe.plan.steps or (save_every and step % save_every == 0):
            write_model(path, prepared.header, prepared.tokenizer, network.tensors(), recipe.dtype)

    outcome = training.train(network, prepared.codec, recipe.plan, seed, report)
    card.record_training(folder, prepared, seed, outcome)
    print(f"{path}: {path.stat().st_size} bytes", flush=True)


def measure(prepared: Prepared, folder: Path, count: int, show: int) -> None:
    """Runs a finished file on held-out cases and notes the figures."""
    recipe = prepared.recipe
    runner = Runner(folder / f"{recipe.name}.bin", prepared.stops, threads=1)
    tallies = evaluation.measure(runner, prepared.codec, MEASURING_SEED, count, show)
    for (kind, lang), tally in tallies.items():
        print(f"{recipe.name}: {kind} {lang}: {tally.right} of {tally.cases}, name {tally.name}", flush=True)
    held = evaluation.measure(runner, prepared.codec, MEASURING_SEED, count, held=True)
    for (kind, lang), tally in held.items():
        print(f"{recipe.name}, calls held: {kind} {lang}: {tally.right} of {tally.cases}", flush=True)
    card.record_measures(folder, recipe.name, tallies, held)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[*RECIPES, "all"], default="all")
    parser.add_argument("--out", type=Path, default=ROOT / "models", help="folder for the files (default: models/)")
    parser.add_argument("--seed", type=int, default=20240517)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, help="train for so many steps instead of the recipe's, to try something")
    parser.add_argument("--save-every", type=int, default=0, help="write the file at every so many steps as well")
    parser.add_argument("--measure-only", action="store_true", help="measure the files that are there")
    parser.add_argument("--cases", type=int, default=300, help="measured cases of each kind (default: 300)")
    parser.add_argument("--show", type=int, default=0, help="print so many wrong answers of each kind")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, recipe in RECIPES.items():
        if args.model not in (name, "all"):
            continue
        chosen = replace(recipe, plan=replace(recipe.plan, steps=args.steps)) if args.steps else recipe
        finished = args.out / f"{recipe.name}.bin"
        prepared = prepare(chosen, args.seed, read_chatglm_bin(finished).tokenizer if args.measure_only else None)
        if not args.measure_only:
            make(prepared, args.out, args.seed, args.save_every)
        measure(prepared, args.out, args.cases, args.show)
    card.write_card(args.out)


if __name__ == "__main__":
    main()
