"""The short names: models that people ask for, and the repositories that publish them as GGUF."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model and its repositories.

    `size_gb` is the size of its Q4_K_M file in GB (1e9 bytes). `cache_bytes` are about what the keys and values of
    a token take: 2 * layers * kv_heads * (key + value), of latents 2 * layers * (rank + rotary). `parameters` and
    `used_parameters`, those that the pass of one token multiplies with, are in billions. `modelscope` is "" where no
    repository is known.
    """

    huggingface: str
    modelscope: str
    size_gb: float
    cache_bytes: int
    parameters: float
    used_parameters: float
    license: str


_GLM4_LICENSE = "glm-4 (research is free, commercial use needs a registration)"

CATALOG: dict[str, CatalogEntry] = {
    "chatglm3-6b": CatalogEntry(
        *("mradermacher/chatglm3-6b-GGUF", "", 4.1, 28_672, 6.24, 5.98),
        "ChatGLM3-6B (research is free, commercial use needs a registration)",
    ),
    "glm-4-9b": CatalogEntry(
        *("bartowski/glm-4-9b-chat-GGUF", "LLM-Research/glm-4-9b-chat-GGUF", 6.3, 40_960, 9.40, 8.78), _GLM4_LICENSE
    ),
    "glm-4-9b-0414": CatalogEntry(
        *("bartowski/THUDM_GLM-4-9B-0414-GGUF", "bartowski/THUDM_GLM-4-9B-0414-GGUF", 6.2, 40_960, 9.40, 8.78), "MIT"
    ),
    "glm-z1-9b": CatalogEntry("bartowski/THUDM_GLM-Z1-9B-0414-GGUF", "", 6.2, 40_960, 9.40, 8.78, "MIT"),
    "glm-4-32b-0414": CatalogEntry("bartowski/THUDM_GLM-4-32B-0414-GGUF", "", 19.7, 62_464, 32.57, 31.63, "MIT"),
    "glm-z1-32b": CatalogEntry("bartowski/THUDM_GLM-Z1-32B-0414-GGUF", "", 19.7, 62_464, 32.57, 31.63, "MIT"),
    "glm-4.7-flash": CatalogEntry("bartowski/zai-org_GLM-4.7-Flash-GGUF", "", 18.5, 54_144, 29.94, 3.58, "MIT"),
    "glm-4.5-air": CatalogEntry("bartowski/zai-org_GLM-4.5-Air-GGUF", "", 70.4, 188_416, 110.5, 12.8, "MIT"),
}
"""By short name. The figures follow from the models' shapes; the licences are those of the models' own pages."""


def name_of(repository: str, wanted: str) -> str:
    """Returns the shortest name of the quantization or file `wanted` of ``hf:OWNER/NAME`` or ``ms:OWNER/NAME``."""
    hub, _, name = repository.partition(":")
    short = short_name(hub, name)
    if not short:
        return f"{repository}:{wanted}"
    return f"{short}:{wanted}" if hub == "hf" else f"{hub}:{short}:{wanted}"


def short_name(hub: str, repository: str) -> str:
    """The short name of a repository of the hub ``hf`` or ``ms``, or ""."""
    for name, entry in CATALOG.items():
        if repository.lower() == (entry.huggingface if hub == "hf" else entry.modelscope).lower():
            return name
    return ""
