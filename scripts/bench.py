#!/usr/bin/env python3
"""How fast the compute core is, compared with llama.cpp, chatglm-cpp and the machine's own bounds.

    CMAKE_POLICY_VERSION_MINIMUM=3.5 pip install ".[bench]" && python scripts/bench.py

Without options: a random model of GLM-4-9B-0414's shape in q4_k_m (6.2 GB, kept in --folder), all sides that this
machine can run, 5 rounds. --model takes any GGUF or chatglm.cpp file. The figures are comparable because of this:

same weights     all sides read the same GGUF file, or a GGUF copy of a chatglm.cpp file's quantized blocks.
same processor   every side runs on the same CPUs only, one thread on each.
same time        in a round all sides do one measure before the next measure begins; the order is reversed from round to
                 round. Figures are medians of the rounds, ratios are medians of the rounds' own ratios, and the range
                 is printed with both.
no disturbance   a side is a process that waits on a pipe while another is measured; the processor time that it takes
                 meanwhile is counted and printed. A few warm-up tokens go before each measure, untimed.
peers at their   llama.cpp (passes of 512 tokens, flash attention) is called through its C functions. Build it for this
best             machine, as pip does from source. chatglm_cpp is called below its pipeline, where it reads a whole
                 prompt in one pass, which its own server does not always do. It cannot limit its threads: with
                 --threads they share fewer CPUs.

The sides: native-avx512, -avxvnni, -avx2, -neon and -generic are the core's families of kernels. "llama.cpp" has its
defaults; "llama.cpp-best" does not repack weights when it loads them, so that K types take its tiled kernels, which are
faster for prompts. "memory" reads as many bytes as the weights that a token uses have, which bounds decoding (of
four sequences with experts it does not: they choose their own); and the file, which bounds loading. Headings name the
kernels of a side, where it says so.
The measures, with 16 bits for keys and values unless --kv-cache-type gives the core 8, and but for sampled and sample
with greedy sampling:

load      from the start of loading, with the file in the page cache, to the first token of a one-token prompt; and the
          memory that the process then holds. llama.cpp clears its cache of keys and values at once, which makes that
          resident, too. memory: only reads the file, into memory that is new.
prefill   a prompt of 512 tokens on an empty cache.
decode    64 tokens after a prompt of 16, which is read before the clock starts.
decode4   four sequences, 64 tokens each, in one pass a token; chatglm-cpp: one after the other.
cached    first token of a new prompt of 664 tokens; then of one that shares its first 600.
sampled   decode and decode4 again, with temperature 0.8, top_k 50 and top_p 0.9.
sample    the core's sampler alone, with the same settings, on random logits of 151,552 tokens: 1 and 4 sequences, with
          all tokens, half of them and one of them allowed. Needs no model: with "--measures sample" none is made.
long      a prompt of 2,048 tokens on an empty cache; only if --measures names it.
depth     prefill of 512 tokens on an empty cache, and after --depth tokens; and decode in both places. Those tokens are
          read once a side, which takes minutes: it is measured only if --measures names it, and --sides should name
          few. For prompts the ratio hardly depends on the number of layers: "--layers 2" will do. For decode it does,
          as the output matrix is read once whatever their number.
draft     answers of --answer tokens after prompts of 300 to 2,700, without drafts and with them: an edited file, one
          with line numbers, quotations, rows of JSON, calls, and prose that repeats nothing. The texts are recorded:
          all passes are computed, and then the logit of the recorded token is raised, so that drafts are right or wrong
          by the text alone. llama.cpp drafts with llama-cpp-python's LlamaPromptLookupDecoding. It takes minutes: only
          if --measures names it.

chatglm-cpp reads no GGUF. For it, --bin makes a chatglm.cpp file of ChatGLM3-6B's shape, and a GGUF copy of it:

    python scripts/bench.py --bin --type q4_0

--llama-cpp adds another build of llama.cpp as two more sides, LABEL and LABEL-best. For example, to compare kernels for
AVX2 with each other on a processor that has AVX-512:

    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_AVX512=OFF" pip install --no-deps \
        --no-binary llama-cpp-python --no-cache-dir --target build/llama-avx2 llama-cpp-python
    python scripts/bench.py --sides native-avx2 --llama-cpp avx2=build/llama-avx2

--core adds another build of the core as a side. Its folders come first on the module path of that side's process: the
folder of the built module if its binding is the same, and else also the root and the scripts of its commit, whose own
code then does the measures. For example, to compare with an older commit:

    git worktree add ../old COMMIT && pip install --no-deps --target ../old/build/core ../old
    python scripts/bench.py --sides native-avx2 --measures decode --core old=../old/scripts:../old:../old/build/core

A side that fails is left out of the further rounds, so --measures should name only those that the older commit has. A
commit that reads no GGUF needs --bin.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from benchmark import machine, model_pair  # noqa: E402
from benchmark.jobs import (  # noqa: E402
    QUICK,
    SHORTENED,
    SLOW,
    large_jobs,
    side_folders,
    side_jobs,
    side_kinds,
    why_not,
)
from benchmark.measures import DEPTH, DRAFT, LONG, Lengths, figures  # noqa: E402
from benchmark.random_gguf import SHAPES  # noqa: E402
from benchmark.report import Results, render  # noqa: E402
from benchmark.rounds import NAMES, Rounds  # noqa: E402
from benchmark.side import LLAMA_CPP_SIDES, SIDES, Job  # noqa: E402

from chatglm_server.convert.mixes import MIXES  # noqa: E402
from chatglm_server.errors import ModelFileError  # noqa: E402
from chatglm_server.model_files.containers import read_model_file  # noqa: E402
from chatglm_server.model_files.model_file import ModelFile  # noqa: E402

SEQUENCES = 4
LARGE = (LONG, DEPTH, DRAFT)
"""The measures with processes of their own."""
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
    add("--model", type=Path, help="a GGUF or chatglm.cpp file instead of a random one")
    add("--shape", choices=SHAPES, help="model whose shape the random one has (glm-4-9b-0414)")
    add("--type", choices=MIXES, help="mix of types of its weights, as in the names of GGUF files (q4_k_m)")
    add("--layers", type=_positive, help="layers of the random model (as many as the model has)")
    add("--bin", action="store_true", help="a chatglm.cpp file and its copy, of chatglm3's shape, all in --type (q4_0)")
    add("--folder", type=Path, default=model_pair.default_folder(), help="where models are kept (%(default)s)")
    add("--make", action="store_true", help="write the models and stop")
    add("--sides", type=_names(SIDES), default=list(SIDES), help=f"of {','.join(SIDES)} (all)")
    add("--core", type=_build, action="append", default=[], metavar="LABEL=FOLDERS", help="another build of the core")
    add("--llama-cpp", type=_build, action="append", default=[], metavar="LABEL=FOLDER", help="another llama.cpp")
    usual, large = [name for name in NAMES if name not in LARGE], ", ".join(LARGE)
    add("--measures", type=_names(NAMES), default=usual, help=f"of {','.join(NAMES)} (all but {large})")
    add("--depth", type=_positive, default=Lengths.depth, help="tokens before what depth measures (%(default)s)")
    add("--answer", type=_positive, default=Lengths.answer, help="tokens of each answer of draft (%(default)s)")
    add("--kv-cache-type", choices=("f16", "q8"), default="f16", help="of the core's sides (%(default)s)")
    add("--rounds", type=_positive, default=5, help="(5)")
    add("--threads", type=_positive, help="CPUs to use (all that this process may)")
    add("--quick", action="store_true", help=f"fewer tokens for {' and '.join(SLOW)}; the output says how many")
    add("--markdown", action="store_true", help="print the tables as Markdown")
    add("--json", type=Path, metavar="FILE", help="write all figures of all rounds")
    add("--plot", type=Path, metavar="FILE", help="write a plot, .svg or .png")
    options = parser.parse_args(words)
    options.core, options.llama_cpp = dict(options.core), dict(options.llama_cpp)
    labels = [*options.core, *options.llama_cpp, *(f"{label}-best" for label in options.llama_cpp)]
    if taken := [label for label in labels if label in SIDES or labels.count(label) > 1]:
        parser.error(f"{taken[0]}: a side has this name already")
    if options.bin and (options.shape not in (None, "chatglm3") or (options.type or "q4_0") not in model_pair.TYPES):
        parser.error(f"--bin is for the shape chatglm3 and the types {', '.join(model_pair.TYPES)}")
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install '.[bench]'")
    if options.threads and options.threads > len(machine.usable_cpus()):
        parser.error(f"--threads {options.threads}: this process may use {len(machine.usable_cpus())} CPUs")
    return options


def run(options: argparse.Namespace) -> int:
    """Measures and reports. Raises: ModelFileError, OSError."""
    path = model(options)
    file = read_model_file(path)
    left_out = {side: why for side in options.sides if (why := why_not(side, file))}
    kinds = side_kinds([side for side in options.sides if side not in left_out], options.core, options.llama_cpp)
    gguf = path
    copied = file.container != "GGUF" and any(kind in LLAMA_CPP_SIDES for kind in kinds.values())
    if copied and options.measures != ["sample"]:
        gguf = model_pair.gguf_copy(path, options.folder)
    if options.make:
        return 0

    lengths, cpus = Lengths(depth=options.depth, answer=options.answer), machine.usable_cpus()[: options.threads]
    job = Job(
        "", str(path.resolve()), str(gguf.resolve()), cpus, lengths.context(), SEQUENCES, lengths, options.kv_cache_type
    )
    jobs = side_jobs(kinds, job, options.quick)
    large = large_jobs(jobs, options.measures)
    for each in [*jobs.values(), *large.values()]:
        if each.context > (have := file.spec.context_length):
            raise ModelFileError(f"{path}: the measures need a context of {each.context} tokens, it has {have}")
    warn_of_memory(list(kinds.values()), file.spec.nbytes)
    peers = [*options.core, *(side for side, kind in kinds.items() if kind in LLAMA_CPP_SIDES), "chatglm-cpp", "memory"]
    rounds = Rounds(Results(figures(lengths), peers), side_folders(options.core, options.llama_cpp))
    interrupted = False
    try:
        rounds.run(jobs, options.rounds, [name for name in options.measures if name not in LARGE])
        rounds.run(large, options.rounds, [name for name in options.measures if name in LARGE])
    except KeyboardInterrupt:
        interrupted = True
    lines = [
        *machine.describe(cpus),
        f"model: {path.name}, {file.spec.nbytes / 1e9:.2f} GB ({shares(file)}), {key_value_size(file)}",
        *(f"{side}: {text}" for side, text in rounds.about.items()),
        *(f"{side}: left out: {why}" for side, why in left_out.items()),
        *(f"{side}: {why}" for side, why in rounds.failed.items()),
        *(f"{side}: {SHORTENED}" for side in rounds.about if jobs[side].lengths == QUICK),
        f"{options.rounds} rounds; processor time taken by waiting sides: {rounds.idle_cpu_s:.2f} s",
        *(["interrupted: the figures are of the rounds until then"] if interrupted else []),
    ]
    title = f"{path.stem} on {lines[0].removeprefix('processor: ').partition(';')[0]}"
    report(rounds.results, title, lines, options)
    if interrupted:
        return 130
    return 0 if rounds.results.sides else 1


def model(options: argparse.Namespace) -> Path:
    """The file that is measured, written if it is a random one. Raises: OSError."""
    if options.model:
        return Path(options.model)
    if options.measures == ["sample"]:
        return DEMO
    if options.bin:
        return model_pair.random_chatglm_bin(options.folder, options.layers, options.type or "q4_0")
    shape = options.shape or "glm-4-9b-0414"
    return model_pair.random_gguf(options.folder, shape, options.layers, options.type or "q4_k_m")


def warn_of_memory(sides: Sequence[str], size: int) -> None:
    """All sides are loaded at once; llama.cpp has the file's pages and, by default, repacked weights."""
    need = size * sum(2 if side == "llama.cpp" else 1 for side in sides)
    available = machine.available_memory()
    if 0 < available < need:
        print(
            f"warning: the sides take about {need / 1e9:.0f} GB together, {available / 1e9:.0f} GB are available; "
            "--sides chooses fewer",
            file=sys.stderr,
        )


def shares(file: ModelFile) -> str:
    """What part of the weights' bytes each type has, in words."""
    found = file.spec.bytes_by_type
    return ", ".join(f"{kind} {count / file.spec.nbytes:.0%}" for kind, count in found.items() if kind != "F32")


def key_value_size(file: ModelFile) -> str:
    """The memory that a token of context takes, in words."""
    return f"keys and values of a token: {file.spec.cache_bytes / 1e3:.0f} kB"


def report(results: Results, title: str, lines: Sequence[str], options: argparse.Namespace) -> None:
    """Prints the tables and writes the files that the options name; `title` is the plot's."""
    mark = "* " if options.markdown else ""
    print("\n".join(mark + line for line in lines))
    for rows in (results.table(), results.ratio_table()):
        if len(rows) > 1:
            print("\n" + render(rows, options.markdown))
    if options.json:
        data = {"about": list(lines), "kernels": results.kernels, "figures": results.as_json()}
        options.json.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.plot and results.sides:
        from benchmark.plot import draw

        draw(results, options.plot, title)


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word} is not a number above 0")
    return int(word)


def _build(text: str) -> tuple[str, list[str]]:
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
