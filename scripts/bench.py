#!/usr/bin/env python3
"""How fast the compute core is, compared with llama.cpp, chatglm-cpp and the machine's own bound.

    CMAKE_POLICY_VERSION_MINIMUM=3.5 pip install ".[bench]" && python scripts/bench.py

Without options: a random model of ChatGLM3-6B's shape in q4_0 (3.5 GB, and 3.5 GB as GGUF, kept in --folder), all sides
that this machine can run, 5 rounds. The figures are comparable because of this:

same weights     llama.cpp gets a GGUF file of the same quantized blocks.
same processor   every side runs on the same CPUs only, one thread on each.
same time        in a round all sides do one measure before the next measure begins; the order is reversed from round to
                 round. Figures are medians of the rounds, ratios are medians of the rounds' own ratios, and the range
                 is printed with both.
no disturbance   a side is a process that waits on a pipe while another is measured; the processor time that it takes
                 meanwhile is counted and printed. A few warm-up tokens go before each measure, untimed.
peers at their   llama.cpp with its defaults (passes of 512 tokens, flash attention, repacked weights), called through
best             its C functions; build it for this machine, as pip does from source. chatglm_cpp is called below its
                 pipeline, where it reads a whole prompt in one pass, which its own server does not always do. It cannot
                 limit its threads: with --threads they share fewer CPUs.

The sides: native-avx512, native-avx2 and native-generic are the core's three families of kernels. "memory" reads as
many bytes as the weights of a token have. This is the bound on decoding, because each token reads every weight. The
measures, all with float16 keys and values and, but for sampled and sample, greedy sampling:

load      from the start of loading, with the file in the page cache, to the first token of a one-token prompt; and the
          memory that the process then holds. llama.cpp clears its cache of keys and values at once, which makes that
          resident, too.
prefill   a prompt of 512 tokens on an empty cache.
decode    64 tokens after a prompt of 16, which is read before the clock starts.
decode4   four sequences, 64 tokens each, in one pass a token; chatglm-cpp: one after the other.
cached    first token of a new prompt of 664 tokens; then of one that shares its first 600.
sampled   decode and decode4 again, with temperature 0.8, top_k 50 and top_p 0.9.
sample    the core's sampler alone, with the same settings, on random logits of 151,552 tokens: 1 and 4 sequences, with
          all tokens, half of them and one of them allowed. Needs no model: with "--measures sample" none is made.
long      the last 512 tokens of 4096 against the first 512, by --long-sides alone: it compares a side with itself.

--core adds another build of the core as a side. Its folders come first on the module path of that side's process: the
folder of the built module if its binding is the same, and else also the root and the scripts of its commit, whose own
code then does the measures. For example, to compare with an older commit:

    git worktree add ../old COMMIT && pip install --no-deps --target ../old/build/core ../old
    python scripts/bench.py --sides native-avx2 --measures decode --core old=../old/scripts:../old:../old/build/core

A side that fails is left out of the further rounds, so --measures should name only those that the older commit has.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import chatglm_native  # noqa: E402
from benchmark import machine, model_pair  # noqa: E402
from benchmark.gguf_copy import obstacle  # noqa: E402
from benchmark.measures import Lengths, figures  # noqa: E402
from benchmark.report import PEERS, Results, render  # noqa: E402
from benchmark.rounds import LONG, NAMES, Rounds  # noqa: E402
from benchmark.side import SIDES, Job  # noqa: E402

from chatglm_server.errors import ModelFileError  # noqa: E402
from chatglm_server.model_files.chatglm_bin import ChatGLMBin, read_chatglm_bin  # noqa: E402
from chatglm_server.model_files.chatglm_bin_spec import model_spec  # noqa: E402

SLOW = ("chatglm-cpp", "native-generic")
QUICK = Lengths(prefill=128, decode=16)
"""For slow sides, whose tokens a second hardly depend on the length: they spend all their time multiplying."""
SHORTENED = f"prompts of {QUICK.prefill} tokens, answers of {QUICK.decode}; cached left out"
SEQUENCES = 4
DEMO = ROOT / "models" / "demo-chatglm3.bin"


def main() -> int:
    """Exit status 0, 1 if nothing could be measured, 130 if interrupted."""
    options = parse(sys.argv[1:])
    try:
        return run(options)
    except (ModelFileError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", type=Path, help="a chatglm.cpp file instead of a random one")
    add("--layers", type=_positive, default=28, help="layers of the random model (28)")
    add("--type", choices=model_pair.TYPES, default="q4_0", help="type of its weights (q4_0)")
    add("--folder", type=Path, default=model_pair.default_folder(), help="where models are kept (%(default)s)")
    add("--make", action="store_true", help="write the models and stop")
    add("--sides", type=_names(SIDES), default=list(SIDES), help=f"of {','.join(SIDES)} (all)")
    add("--core", type=_core, action="append", default=[], metavar="LABEL=FOLDERS", help="another build of the core")
    add("--measures", type=_names(NAMES), default=list(NAMES), help=f"of {','.join(NAMES)} (all)")
    add("--long-sides", type=_names(SIDES), help="sides of the measure long (the first native one)")
    add("--rounds", type=_positive, default=5, help="(5)")
    add("--threads", type=_positive, help="CPUs to use (all that this process may)")
    add("--quick", action="store_true", help=f"fewer tokens for {' and '.join(SLOW)}; the output says how many")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="write all figures of all rounds")
    add("--plot", type=Path, metavar="FILE", help="write a plot, .svg or .png")
    options = parser.parse_args(words)
    options.core = dict(options.core)
    if taken := options.core.keys() & set(SIDES):
        parser.error(f"--core {min(taken)}: a side has this name already")
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install '.[bench]'")
    if options.threads and options.threads > len(machine.usable_cpus()):
        parser.error(f"--threads {options.threads}: this process may use {len(machine.usable_cpus())} CPUs")
    return options


def run(options: argparse.Namespace) -> int:
    """Measures and reports. Raises: ModelFileError, OSError."""
    path = options.model or (DEMO if options.measures == ["sample"] else None)
    path = path or model_pair.random_model(options.folder, options.layers, options.type)
    file = read_chatglm_bin(path)
    left_out = {side: why for side in options.sides if (why := why_not(side, file))}
    sides = [side for side in options.sides if side not in left_out]
    gguf = model_pair.gguf_copy(file, options.folder) if "llama.cpp" in sides else None
    if options.make:
        return 0

    lengths = Lengths()
    cpus = machine.usable_cpus()[: options.threads]
    gguf_path = str(gguf.resolve()) if gguf else ""
    job = Job("", str(path.resolve()), gguf_path, cpus, lengths.context(), SEQUENCES, lengths)
    quick = SLOW if options.quick else ()
    jobs = {side: replace(job, side=side, lengths=QUICK if side in quick else lengths) for side in sides}
    natives = [side for side in sides if side.startswith("native")]
    same_kernels = natives[0] if natives else f"native-{chatglm_native.kernels()[0]}"
    jobs |= {label: replace(job, side=same_kernels) for label in options.core}
    long_sides = options.long_sides or natives[:1]
    long_sides = [side for side in long_sides if side in sides and side not in ("memory", "chatglm-cpp")]
    need = lengths.long_context if LONG in options.measures and long_sides else lengths.context()
    if file.header.max_length < need:
        raise ModelFileError(f"{path}: the measures need a context of {need} tokens, it has {file.header.max_length}")
    warn_of_memory(sides, file.size)

    def skipped(side: str, measure: str) -> bool:
        if measure == "sample":
            return side in PEERS
        return (side == "memory" and measure != "decode") or (side in quick and measure == "cached")

    rounds = Rounds(jobs, Results(figures(lengths), [*options.core, *PEERS]), options.core)
    interrupted = False
    try:
        rounds.run(options.rounds, options.measures, skipped)
        if LONG in options.measures:
            rounds.run_long(options.rounds, long_sides)
    except KeyboardInterrupt:
        interrupted = True
    lines = [
        *machine.describe(cpus),
        f"model: {path.name}, {file.size / 1e9:.2f} GB, {key_value_size(file, job)}",
        *(f"{side}: {text}" for side, text in rounds.about.items()),
        *(f"{side}: left out: {why}" for side, why in left_out.items()),
        *(f"{side}: {why}" for side, why in rounds.failed.items()),
        *(f"{side}: {SHORTENED}" for side in quick if side in rounds.about),
        f"{options.rounds} rounds; processor time taken by waiting sides: {rounds.idle_cpu_s:.2f} s",
        *(["interrupted: the figures are of the rounds until then"] if interrupted else []),
    ]
    title = f"{path.stem} on {lines[0].removeprefix('processor: ').partition(';')[0]}"
    report(rounds.results, title, lines, options)
    if interrupted:
        return 130
    return 0 if rounds.results.sides else 1


def why_not(side: str, file: ChatGLMBin) -> str:
    """Why a side cannot take part; "" if it can."""
    kernels = side.removeprefix("native-")
    if kernels != side and kernels not in chatglm_native.kernels():
        return "this processor cannot run it"
    for name, modules in {"chatglm-cpp": ("chatglm_cpp",), "llama.cpp": ("llama_cpp", "gguf")}.items():
        missing = [module for module in modules if side == name and importlib.util.find_spec(module) is None]
        if missing:
            return f"{missing[0]} is not installed: pip install '.[bench]'"
    return obstacle(file) if side == "llama.cpp" else ""


def warn_of_memory(sides: Sequence[str], size: int) -> None:
    """All sides are loaded at once; llama.cpp has the file's pages and repacked weights."""
    need = size * sum(2 if side == "llama.cpp" else 1 for side in sides)
    available = machine.available_memory()
    if 0 < available < need:
        print(
            f"warning: the sides take about {need / 1e9:.0f} GB together, {available / 1e9:.0f} GB are available; "
            "--sides chooses fewer",
            file=sys.stderr,
        )


def key_value_size(file: ChatGLMBin, job: Job) -> str:
    """The memory of the full caches, in words."""
    size = model_spec(file).cache_bytes * job.context * job.sequences
    return f"keys and values of {job.sequences} x {job.context} tokens: {size / 1e9:.2f} GB"


def report(results: Results, title: str, lines: Sequence[str], options: argparse.Namespace) -> None:
    """Prints the tables and writes the files that the options name; `title` is the plot's."""
    mark = "* " if options.markdown else ""
    print("\n".join(mark + line for line in lines))
    for rows in (results.table(), results.ratio_table()):
        if len(rows) > 1:
            print("\n" + render(rows, options.markdown))
    if options.json:
        data = {"about": list(lines), "figures": results.as_json()}
        options.json.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.plot and results.sides:
        from benchmark.plot import draw

        draw(results, options.plot, title)


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number above 0")
    return int(word)


def _core(text: str) -> tuple[str, list[str]]:
    """LABEL=FOLDER[:FOLDER…], the folders absolute."""
    label, _, folders = text.partition("=")
    found = [Path(folder).resolve() for folder in folders.split(os.pathsep) if folder]
    if missing := [folder for folder in found if not folder.is_dir()]:
        raise argparse.ArgumentTypeError(f"{missing[0]} is not a folder")
    if not label or not found:
        raise argparse.ArgumentTypeError(f"{text} is not LABEL=FOLDER")
    return label, [str(folder) for folder in found]


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """A parser of comma-separated words, each of them known."""

    def read(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",") if word.strip()]
        if unknown := [word for word in words if word not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
        return words

    return read


if __name__ == "__main__":
    sys.exit(main())
