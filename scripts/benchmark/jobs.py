"""What each side of a comparison does, and why a side takes no part."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace

import chatglm_native

from chatglm_server.model_files.chatglm_bin import read_chatglm_bin
from chatglm_server.model_files.model_file import ModelFile

from .draft_texts import conversations
from .gguf_copy import obstacle
from .measures import DEPTH, DRAFT, LONG, Lengths
from .report import PEERS
from .side import LLAMA_CPP_SIDES, Job

SLOW = ("chatglm-cpp", "native-generic")
QUICK = Lengths(prefill=128, decode=16)
"""For slow sides, whose tokens a second hardly depend on the length: they spend all their time multiplying."""
SHORTENED = f"prompts of {QUICK.prefill} tokens, answers of {QUICK.decode}; cached left out"

Builds = Mapping[str, Sequence[str]]
"""Other builds: folders by label."""


def side_kinds(sides: Sequence[str], cores: Builds, llama_cpps: Builds) -> dict[str, str]:
    """The side of `SIDES` that each side runs as: itself, or for another build that of the same engine."""
    natives = [side for side in sides if side.startswith("native")]
    core = natives[0] if natives else f"native-{chatglm_native.kernels()[0]}"
    others = {side.replace("llama.cpp", label): side for label in llama_cpps for side in LLAMA_CPP_SIDES}
    return {side: side for side in sides} | dict.fromkeys(cores, core) | others


def side_folders(cores: Builds, llama_cpps: Builds) -> dict[str, Sequence[str]]:
    """The folders that come first on the module path of a side that is another build."""
    named = {
        side.replace("llama.cpp", label): folders for label, folders in llama_cpps.items() for side in LLAMA_CPP_SIDES
    }
    return {**cores, **named}


def side_jobs(kinds: Mapping[str, str], job: Job, quick: bool) -> dict[str, Job]:
    """`job` for each side; with `quick` fewer tokens for the slow ones."""
    jobs = {label: replace(job, side=kind) for label, kind in kinds.items()}
    return {label: replace(job, lengths=QUICK) if quick and job.side in SLOW else job for label, job in jobs.items()}


def large_jobs(jobs: Mapping[str, Job], measures: Sequence[str]) -> dict[str, Job]:
    """The same with room for those of the measures that need a larger cache; none if there are none."""
    made: dict[str, Job] = {}
    for label, job in jobs.items():
        texts = conversations(job.lengths.answer) if DRAFT in measures else []
        room = {
            LONG: job.lengths.long,
            DEPTH: job.lengths.depth + job.lengths.part,
            DRAFT: max((len(one.prompt) + len(one.answer) for one in texts), default=0),
        }
        if needed := [count for measure, count in room.items() if measure in measures]:
            made[label] = replace(job, context=max(needed) + 32, sequences=2)
    return made


def is_skipped(job: Job, measure: str) -> bool:
    """Whether a side does not take a measure."""
    if measure == "sample":
        return job.side in PEERS
    if job.side == "memory":
        return measure not in ("load", "decode")
    if job.side == "chatglm-cpp" and measure in (DEPTH, DRAFT):
        return True  # it has one sequence, reads so many tokens in hours, and drafts nothing
    return measure == "cached" and job.lengths == QUICK


def why_not(side: str, file: ModelFile) -> str:
    """Why a side cannot take part; "" if it can. Raises: ModelFileError."""
    kernels = side.removeprefix("native-")
    if kernels != side and kernels not in chatglm_native.kernels():
        return "this processor cannot run it"
    module = {"chatglm-cpp": "chatglm_cpp", **dict.fromkeys(LLAMA_CPP_SIDES, "llama_cpp")}.get(side)
    if module and importlib.util.find_spec(module) is None:
        return f"{module} is not installed: pip install '.[bench]'"
    if side == "chatglm-cpp" and file.container == "GGUF":
        return "it does not read GGUF; --bin makes a file for it"
    if side in LLAMA_CPP_SIDES and file.container != "GGUF":
        return obstacle(read_chatglm_bin(file.path))
    return ""
