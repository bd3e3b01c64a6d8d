"""What the names of models mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatglm_server.errors import ModelFileError
from chatglm_server.hub.catalog import CATALOG, short_name
from chatglm_server.hub.references import (
    Address,
    Repository,
    Stored,
    is_file_address,
    is_server_address,
    read_reference,
)
from chatglm_server.loader import DEMO_MODELS

REFERENCES = {
    "hf:owner/repo": Repository("hf", "owner/repo"),
    "HF:owner/repo": Repository("hf", "owner/repo"),
    "hf.co/owner/repo:Q5_K_M": Repository("hf", "owner/repo", "Q5_K_M"),
    "hf:owner/repo:Q5_K_M": Repository("hf", "owner/repo", "Q5_K_M"),
    "hf:owner/repo:q5_k_m": Repository("hf", "owner/repo", "q5_k_m"),
    "hf:owner/repo:UD-Q4_K_XL": Repository("hf", "owner/repo", "UD-Q4_K_XL"),
    "ms:o.w-n/r_e.po:folder/a.gguf": Repository("ms", "o.w-n/r_e.po", "folder/a.gguf"),
    "glm-4-9b-0414": Repository("hf", "bartowski/THUDM_GLM-4-9B-0414-GGUF"),
    "GLM-4-9B-0414:Q8_0": Repository("hf", "bartowski/THUDM_GLM-4-9B-0414-GGUF", "Q8_0"),
    "ms:glm-4-9b-0414:Q8_0": Repository("ms", "bartowski/THUDM_GLM-4-9B-0414-GGUF", "Q8_0"),
    "ollama:glm4:9b": Stored("ollama:glm4:9b"),
    "lmstudio:lmstudio-community/GLM/GLM.gguf": Stored("lmstudio:lmstudio-community/GLM/GLM.gguf"),
    "https://host/a/b.gguf": Address("https://host/a/b.gguf"),
    "HTTP://HOST:80/a/b.GGUF": Address("http://host:80/a/b.GGUF"),
    "http://[::1]:80/b.gguf": Address("http://[::1]:80/b.gguf"),
    "https://huggingface.co/o/r/resolve/main/d/a.gguf?download=true": Repository("hf", "o/r", "d/a.gguf"),
    "https://hf-mirror.com/o/r/blob/main/a.gguf": Repository("hf", "o/r", "a.gguf"),
    "https://huggingface.co/o/r": Repository("hf", "o/r"),
    "HTTPS://www.HuggingFace.co/o/r/": Repository("hf", "o/r"),
    "https://huggingface.co/o/r:q4_k_m": Repository("hf", "o/r", "q4_k_m"),
    "https://huggingface.co/o/r/tree/main": Repository("hf", "o/r"),
    "https://hf.co/o/r/tree/main/folder?show_file_info=a.gguf#x": Repository("hf", "o/r"),
    "huggingface.co/o/r/blob/main/d/a.gguf": Repository("hf", "o/r", "d/a.gguf"),
    "https://modelscope.cn/models/o/r": Repository("ms", "o/r"),
    "https://www.modelscope.cn/models/o/r/summary": Repository("ms", "o/r"),
    "https://modelscope.cn/models/o/r/files": Repository("ms", "o/r"),
    "https://modelscope.cn/models/o/r/tree/master/d": Repository("ms", "o/r"),
    "https://modelscope.cn/models/o/r/file/view/master/d%2Fa.gguf?status=2": Repository("ms", "o/r", "d/a.gguf"),
    "https://modelscope.cn/models/o/r/resolve/master/a.gguf": Repository("ms", "o/r", "a.gguf"),
    "modelscope.cn/o/r:Q4_K_M": Repository("ms", "o/r", "Q4_K_M"),
    "model.gguf": Path("model.gguf"),
    "./glm-4-9b": Path("glm-4-9b"),
    "models/old/chatglm3.bin": Path("models/old/chatglm3.bin"),
    "/dev": Path("/dev"),
}

ERRORS = {
    "https://example.com/owner/repo": "for a repository write hf:OWNER/NAME",
    "hf.co/owner/repo/a.gguf": "write hf:OWNER/NAME",
    "https://huggingface.co/datasets/owner/repo": "not the page of a model",
    "https://huggingface.co/models": "write hf:OWNER/NAME",
    "https://huggingface.co/owner/repo/tree/v2": "not of its branch main",
    "https://huggingface.co/owner/repo/blob/main/config.json": "a .gguf file",
    "https://huggingface.co/owner/repo/blob/main/%2e%2e/a.gguf": "a .gguf file",
    "https://modelscope.cn/datasets/owner/repo": "write ms:OWNER/NAME",
    "glm-4-9b-414": "did you mean glm-4-9b-0414",
    "glm": "one of demo, chatglm3-6b, glm-4-9b",
    "gpt-4": "no known name",
    **{name: f"--model {name} serves it" for name in DEMO_MODELS},
    "hf:glm-9b": "no known name",
    "owner/repo": "write hf:owner/repo",
    "owner/repo:Q4_K_M": "write hf:owner/repo:Q4_K_M",
    "hf:owner/repo:latest": "a quantization such as Q4_K_M",
    "hf:owner/repo:../a.gguf": "a quantization such as Q4_K_M",
    "hf:owner/repo:/etc/a.gguf": "a quantization such as Q4_K_M",
    "hf:../repo": "not a repository",
    "hf:owner/a--b": "not a repository",
    "hf:": "no known name",
    "ms:glm-z1-32b": "no repository on ModelScope",
    "https://user:secret@host/a.gguf": "no user, query or fragment",
    "https://host/a.gguf?token=secret": "no user, query or fragment",
    "https://host/../a.gguf": "cannot name a file",
    "https://host//a.gguf": "cannot name a file",
    "~nobody-of-this-name/a.gguf": "home directory",
    "x" * 300: "File name too long",
    "https:///a.gguf": "not an address",
    "https://host:99999/a.gguf": "not an address",
    "https://ho st/a.gguf": "not an address",
    "https://[/a.gguf": "not an address",
}


@pytest.mark.parametrize("text", REFERENCES)
def test_reference(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_reference(text) == REFERENCES[text]


@pytest.mark.parametrize("text", ERRORS)
def test_error_says_what_to_write(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelFileError) as caught:
        read_reference(text)
    assert ERRORS[text] in caught.value.message
    assert "secret" not in caught.value.message


def test_a_file_wins_over_a_short_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("glm-4-9b").write_bytes(b"")
    assert read_reference("glm-4-9b") == Path("glm-4-9b")


@pytest.mark.parametrize("text", ["http://host/v1", "https://a.gguf/v1", "https://host/v1?m=a.gguf", "a.gguf", "hf:a"])
def test_addresses_of_servers_stay_those_of_servers(text: str) -> None:
    assert not is_file_address(text)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        *(
            ("http://host/v1", True),
            ("https://router.huggingface.co/v1", True),
            ("https://huggingface.co/api/x/y", True),
        ),
        *(("https://api-inference.modelscope.cn/v1", True), ("https://host/a.gguf", False), ("a.gguf", False)),
        *(("https://huggingface.co/o/r", False), ("https://modelscope.cn/models/o/r", False), ("hf.co/o/r", False)),
    ],
)
def test_which_addresses_are_those_of_servers(text: str, server: bool) -> None:
    assert is_server_address(text) is server


def test_catalog() -> None:
    for name, entry in CATALOG.items():
        reference = read_reference(f"hf:{name}")
        assert reference == Repository("hf", entry.huggingface) == read_reference(f"hf:{entry.huggingface}")
        assert short_name("hf", entry.huggingface) == name
        assert not entry.modelscope or short_name("ms", entry.modelscope) == name


@settings(max_examples=200, deadline=None)
@example("~\0")
@example("http://../.gguf")
@given(
    st.one_of(
        st.text(),
        st.text("hfms:/.-_ab~Q4KM\\%?#[]@\0\n", max_size=40),
        st.builds(
            "{}{}".format, st.sampled_from(["hf:", "ms:glm-4-9b:", "ollama:", "http://", "https://h/"]), st.text()
        ),
        st.builds("https://{}/{}.gguf".format, st.text(), st.text()),
    )
)
def test_any_text_is_a_reference_or_one_line(text: str) -> None:
    """And no name of a repository, a file or an address leads out of a cache's folder."""
    try:
        reference = read_reference(text)
    except ModelFileError as error:
        assert len(error.message.splitlines()) == 1 or not text.isprintable()
        return
    if isinstance(reference, Repository):
        parts = f"{reference.name}/{reference.wanted}".split("/")
        assert not {"..", "."} & set(parts)
        assert read_reference(str(reference)) == reference
    elif isinstance(reference, Address):
        assert reference.url.lower().endswith(".gguf")
        assert not {"..", ".", ""} & set(reference.url.split("/")[2:])
