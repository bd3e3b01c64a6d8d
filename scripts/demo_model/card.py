"""The model card, written from what training recorded and the engine measured."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from .evaluation import Tallies
from .recipes import RECIPES, Prepared
from .training import Outcome

FIGURES = "figures.json"
_HELD = "… with calls held to the tools' schemas"
KINDS = {
    "first": ("questions written by hand: what people try first", "call exactly right, or no call if none is wanted"),
    "first held": (_HELD, "the same"),
    "call": ("call of an unseen tool", "name and all arguments exactly right"),
    "call held": (_HELD, "the same"),
    "call name": ("… the tool's name alone", "the right tool was called"),
    "new words": ("call of a tool with new words in its name", "name and all arguments exactly right"),
    "new words held": (_HELD, "the same"),
    "new words name": ("… the tool's name alone", "the right tool was called"),
    "classic": ("call of a well-known tool, held-out values", "name and all arguments exactly right"),
    "classic held": (_HELD, "the same"),
    "refusal": ("no tool fits, or none is needed", "answered, and no call begun"),
    "refusal held": (_HELD, "the same"),
    "observation": ("answer from a tool's result", "all values of the result are in the answer"),
    "context": ("fact told earlier in the chat", "the fact is in the answer"),
}


def record_training(folder: Path, prepared: Prepared, seed: int, outcome: Outcome) -> None:
    """Notes how a file was made in the figures."""
    plan, shape = prepared.recipe.plan, prepared.shape
    sizes = {"vocabulary": shape.vocab, "pieces": len(prepared.texts), "width": shape.hidden, "layers": shape.layers}
    sizes |= {"heads": shape.heads, "key/value heads": shape.kv_heads, "feed-forward": shape.ffn}
    facts: dict[str, Any] = {"seed": seed, "steps": plan.steps, "tokens": outcome.tokens}
    facts |= {"seconds": round(outcome.seconds), "loss": round(outcome.loss, 4)}
    _update(folder, prepared.recipe.name, {**facts, "parameters": shape.parameters, "sizes": sizes})


def record_measures(folder: Path, name: str, tallies: Tallies, held: Tallies) -> None:
    """Notes the measured figures of a file; `held` are those with calls that are held to their tools."""
    measured = {f"{kind}.{lang}": [tally.right, tally.cases] for (kind, lang), tally in tallies.items()}
    measured |= {f"{kind} held.{lang}": [tally.right, tally.cases] for (kind, lang), tally in held.items()}
    measured |= {f"{kind} name.{lang}": [tally.name, tally.cases] for (kind, lang), tally in tallies.items()}
    _update(folder, name, {"measured": measured})


def _update(folder: Path, name: str, more: dict[str, Any]) -> None:
    path = folder / FIGURES
    figures = json.loads(path.read_text()) if path.exists() else {}
    figures.setdefault(name, {}).update(more)
    path.write_text(json.dumps(figures, indent=2) + "\n")


def write_card(folder: Path) -> None:
    """Writes README.md from figures.json and the files beside it."""
    (folder / "README.md").write_text(card(folder), encoding="utf-8")


def card(folder: Path) -> str:
    """The text of README.md."""
    figures = json.loads((folder / FIGURES).read_text())
    parts = [_INTRODUCTION]
    for recipe in RECIPES.values():
        if "measured" in figures.get(recipe.name, {}):
            parts.append(_section(folder / f"{recipe.name}.bin", recipe.dtype.name.lower(), figures[recipe.name]))
    return "\n".join([*parts, _TRAINING])


def _section(path: Path, dtype: str, facts: dict[str, Any]) -> str:
    sizes = ", ".join(f"{name} {value:,}" for name, value in facts["sizes"].items())
    data = path.read_bytes()
    rows = ["| | English | Chinese | counted as right |", "|---|---|---|---|"]
    for kind, (title, meaning) in KINDS.items():
        shares = [_share(*facts["measured"][f"{kind}.{lang}"]) for lang in ("en", "zh")]
        rows.append(f"| {title} | {shares[0]} | {shares[1]} | {meaning} |")
    return "\n".join(
        (
            f"## {path.name}",
            "",
            f"* {facts['parameters'] / 1e6:.1f} million parameters: {sizes}; weights in {dtype}, context 4,096 tokens",
            f"* {len(data):,} bytes, sha256 `{hashlib.sha256(data).hexdigest()}`",
            f"* trained on {facts['tokens'] / 1e6:.1f} million tokens in {facts['steps']:,} steps, "
            f"{facts['seconds'] / 60:.0f} minutes on 2 cores; seed {facts['seed']}; final loss {facts['loss']:.3f}",
            *([f"* {facts['note']}"] if "note" in facts else []),
            "",
            *rows,
            "",
        )
    )


def _share(right: int, cases: int) -> str:
    return f"{100 * right / cases:.0f}% ({right}/{cases})"


_INTRODUCTION = """# The demonstration models

Two small models let people try and test `chatglm-server` without downloading weights. **They are demonstrations, not
assistants.** They know next to nothing, understand short and plain sentences in English and Chinese, and make the
mistakes that the figures below count. But they show the real thing at a small scale: the file format, tokenizers,
prompts and tool calls of ChatGLM3 and GLM-4, computed by the real engine.

They learned to greet, to say what they are, to repeat a text, to recall what was said in the chat, to decide whether a
tool fits, to call tools that they have never seen, to choose among one to four tools, and to answer from a tool's
result. They copy names from the declaration and values from the question. They cannot reason, calculate or state facts.

The server's own core measured the figures on these files, with greedy sampling. The conversations are made like those
of training: one to four tools with up to three parameters, and a question in the sentence patterns of training.
Questions in free words do worse. A fixed rule keeps some words out of training:

* *unseen tool*: each of the two words of the tool's topic occurs in training, but never both together; the same holds
  for the other tools of the conversation;
* *new words*: the tool's topic and the names of its parameters have a word that never occurs in training, which leaves
  out one word in six of the bank;
* in all rows, people, places and other values from banks do not occur in training.

In the rows *with calls held to the tools' schemas*, the models write as the server makes them write by default
(`--tool-grammar auto`). In the other rows they write freely.

The questions of the first row were written by hand (`first_questions.py`): one to three tutorial tools and plain
questions. Some of them are in the training text word for word.
"""

_TRAINING = """## How they are made

    pip install ".[train]" && python scripts/train_demo_model.py

This makes tokenizers, weights, figures and this page. All text comes from `scripts/demo_model`: declarations of made-up
and well-known tools in the shapes that OpenAI clients send, questions, calls, results, answers and small talk. A seeded
generator draws them from word banks and invented syllables; nothing is downloaded. The server's own chat formats render
the prompts. The networks are those of ChatGLM3 and GLM-4 (RMSNorm, rotary embedding of half a head, grouped key/value
heads, SwiGLU). They are trained in bfloat16, with Muon for matrices and AdamW for the rest; the learning rates begin to
fall early. The loss counts the tokens that the model writes, those at the beginning of an answer four times, and to a
small part those that it reads. Another processor or PyTorch version gives slightly different weights.

The first two layers start with a hand-made induction head (`copying.py`), so a new network can already repeat what it
has read. Without it, and with all else the same, the loss first reached 1.3 after 1.3 million tokens instead of 0.6
million.

The ChatGLM3 model has a SentencePiece tokenizer (BPE, byte fallback). A few of its pieces are the boilerplate of a
tools declaration, with its blanks and line breaks. The GLM-4 model has a tiktoken vocabulary. In both, the words of the
banks are single tokens, and any other word is cut into the same tokens wherever it occurs. That makes copying and
matching easy to learn.

`figures.json` has the figures in a form for programs. Licence: MIT, like the rest of the repository.
"""
