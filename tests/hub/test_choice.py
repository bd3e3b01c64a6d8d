"""Which file of a repository suits a machine, and what a file's name says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.hub import choice
from chatglm_server.hub.choice import choose, preferred
from chatglm_server.hub.file_names import is_model, is_safe, quantization, split_parts, whole_models
from chatglm_server.hub.sizes import size_text
from chatglm_server.memory import memory_limit

GB = 10**9


@dataclass(frozen=True)
class Offered:
    quantization: str
    size: int
    file: str = "GLM.gguf"


GLM_4_9B = [
    Offered("Q8_0", 9_990_000_000),
    Offered("Q5_K_M", 7_040_000_000),
    Offered("Q4_K_M", 6_160_000_000),
    Offered("IQ4_XS", 5_300_000_000),
    Offered("Q3_K_M", 4_960_000_000),
    Offered("Q2_K", 4_000_000_000),
    Offered("UD-Q4_K_XL", 6_300_000_000),
    Offered("IQ2_M", 3_300_000_000),
]


@pytest.mark.parametrize(
    ("memory", "chosen"),
    [(64, "Q4_K_M"), (16, "Q4_K_M"), (8.7, "Q4_K_M"), (8.2, "IQ4_XS"), (7.5, "Q3_K_M"), (6.6, "Q2_K")],
)
def test_the_best_that_fits(memory: float, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for the system and the keys and values of 8,192 tokens."""
    monkeypatch.setattr(choice, "memory_limit", lambda: (int(memory * GB), False))
    model, reason = choose(GLM_4_9B, "glm-4-9b", 40_960)
    assert model.quantization == chosen
    assert reason.startswith(chosen)
    assert ("Q4_K_M needs 8.64 GB" in reason) == (chosen != "Q4_K_M")


def test_a_container_has_no_other_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "memory_limit", lambda: (7 * GB + 100_000_000, True))
    assert choose(GLM_4_9B, "glm-4-9b", 40_960)[0].quantization == "Q4_K_M"


def test_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "memory_limit", lambda: (4 * GB, False))
    with pytest.raises(ModelFileError, match=r"even Q2_K needs 6.48 GB of memory, this machine has 4.00 GB"):
        choose(GLM_4_9B, "glm-4-9b", 40_960)


def test_nothing_known() -> None:
    with pytest.raises(ModelFileError, match="it has IQ2_M, UD-Q4_K_XL"):
        choose(GLM_4_9B[-2:], "glm-4-9b")
    with pytest.raises(ModelFileError, match=r"it has a\.gguf, b\.gguf"):
        choose([Offered("", 1, "b.gguf"), Offered("", 1, "a.gguf")], "glm-4-9b")
    assert preferred(GLM_4_9B[-2:]) == GLM_4_9B[-2]


def test_a_file_alone_needs_no_quantization_in_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose([Offered("", GB)], "x")[1].startswith("GLM.gguf (1.00 GB), which fits into ")
    monkeypatch.setattr(choice, "memory_limit", lambda: (GB, False))
    with pytest.raises(ModelFileError, match=r"even GLM.gguf needs .+; x:GLM.gguf takes it all the same"):
        choose([Offered("", GB)], "x")


def test_larger_ones_if_no_other_is_there() -> None:
    assert choose([Offered("F16", 10), Offered("Q8_0", 5)], "x")[0].quantization == "Q8_0"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("THUDM_GLM-4-9B-0414-Q4_K_M.gguf", "Q4_K_M"),
        ("chatglm3-6b.Q4_K_M.gguf", "Q4_K_M"),
        ("glm-4-9b-chat.IQ4_XS.gguf", "IQ4_XS"),
        ("GLM-4-32B-0414-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("BF16/GLM-4-32B-0414-BF16-00001-of-00002.gguf", "BF16"),
        ("q8_0/model.gguf", "Q8_0"),
        ("model-q4_0.gguf", "Q4_0"),
        ("model-Q4_0_4_4.gguf", ""),
        ("model.gguf", ""),
    ],
)
def test_quantization_in_a_name(file: str, name: str) -> None:
    assert quantization(file) == name


def test_split_models() -> None:
    parts = ["a/m-Q8_0-00001-of-00002.gguf", "a/m-Q8_0-00002-of-00002.gguf"]
    assert split_parts(parts[1]) == parts
    assert split_parts("m-00003-of-00002.gguf") == split_parts("m-00001-of-99999.gguf") == []
    assert whole_models([*parts, "b.gguf", "mmproj-b.gguf", "README.md", "c-00002-of-00002.gguf"]) == [
        parts,
        ["b.gguf"],
    ]
    assert not is_model("d/mmproj-model-f16.gguf")


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/./b", "a\\b", "a:b", "a\0b", "a\nb", "", "a" * 300])
def test_names_that_lead_elsewhere(name: str) -> None:
    assert not is_safe(name)
    assert is_safe("d/a b-é.gguf")


def test_sizes() -> None:
    assert [size_text(size) for size in (0, 4_500, 12_300_000, 6_170_000_000)] == [
        "0.0 kB",
        "4.5 kB",
        "12.3 MB",
        "6.17 GB",
    ]


def test_limits_of_control_groups(tmp_path: Path) -> None:
    """Version 2: the least of the process's own group and those above it. Version 1: the controller's folder."""
    machine = memory_limit(tmp_path, tmp_path / "own")
    assert machine[0] > 1 << 28
    assert not machine[1]
    own = tmp_path / "own"
    own.write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    assert memory_limit(tmp_path, own) == machine
    (tmp_path / "a" / "memory.max").write_text("1000000\n")
    assert memory_limit(tmp_path, own) == (1_000_000, True)
    own.write_text("12:cpu:/x\n4:memory:/docker/c\n")
    (tmp_path / "memory" / "docker" / "c").mkdir(parents=True)
    (tmp_path / "memory" / "docker" / "c" / "memory.limit_in_bytes").write_text("2000000\n")
    assert memory_limit(tmp_path, own) == (2_000_000, True)
    (tmp_path / "memory" / "docker" / "c" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory_limit(tmp_path, own) == machine
