"""Who may know whom: imports inside the package go one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "chatglm_server"
GROUND = {"chat", "errors", "json_text", "log_once", "model_names", "sampling"}
"""What every storey may use."""
ALLOWED: dict[str, set[str]] = {
    "cache_folder": {"errors"},
    "json_text": set(),
    "log_once": set(),
    "memory": set(),
    "model_names": set(),
    "open_files": set(),
    "recent": set(),
    "errors": set(),
    "sampling": {"errors"},
    "chat": {"sampling"},
    "answer": {"chat"},
    "settings": {"foreign_names"},
    "foreign_names": set(),
    "formats": {"chat", "json_text", "formats"},
    "queueing": {"errors", "queueing"},
    "convert": {"errors", "formats", "model_files", "convert"},
    "model_files": {"errors", "formats.base", "formats.detection", "model_files"},
    "decoding": {"cache_folder", "errors", "open_files", "sampling", "queueing", "model_files", "decoding", "recent"},
    "embeddings": {"errors", "model_names", "queueing", "embeddings"},
    "hub": {"cache_folder", "errors", "hub", "memory", "open_files", "__init__"},
    "engine": GROUND | {"answer", "engine", "formats", "decoding", "model_files", "queueing", "recent"},
    "markdown": {"log_once", "markdown"},
    "service": {"engine.base", "embeddings.base"},
    "context_length": {"errors", "memory", "model_files"},
    "loader": GROUND
    | {
        "context_length",
        "settings",
        "engine",
        "formats",
        "decoding.backends",
        "decoding.snapshots.folder",
        "decoding.snapshots.options",
        "model_files",
        "embeddings.embedder",
        "hub",
    },
    "api": GROUND
    | {"answer", "api", "service", "engine.base", "engine.capabilities", "embeddings.base", "__init__"}
    | {"queueing.status", "formats.inline.python_calls", "markdown.renderer"},
    "app": GROUND | {"api", "markdown.renderer", "service", "settings", "__init__"},
    # the commands read a conversation as the API does, without its web framework
    "cli": GROUND
    | {
        "answer",
        "app",
        "cli",
        "context_length",
        "convert",
        "formats",
        "hub",
        "loader",
        "memory",
        "model_files",
        "service",
        "settings",
        "__init__",
    }
    | {"api.http.connection", "api.openai", "engine.base", "engine.capabilities", "engine.upstream.address"}
    | {"decoding.backends.cpus", "decoding.snapshots.folder", "markdown.formulas"},
    "cluster": GROUND
    | {
        "api.errors",
        "app",
        "cli.log_lines",
        "cluster",
        "engine.base",
        "loader",
        "queueing.status",
        "service",
        "settings",
    },
    "__main__": {"cli"},
    "__init__": set(),
}


def imports(path: Path) -> set[str]:
    """Modules of the package that `path` imports, as ``layer`` and ``layer.module``."""
    package = path.relative_to(PACKAGE).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            names = [".".join(filter(None, base))] if any(base) else [alias.name for alias in node.names]
            found |= {"__init__" if name == "__version__" else name for name in names}
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("chatglm_server") for alias in node.names), path
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    layer = relative.parts[0] if len(relative.parts) > 1 else relative.stem
    allowed = ALLOWED[layer]
    for module in imports(path):
        assert module in allowed or module.split(".")[0] in allowed, f"{relative} must not import {module}"
