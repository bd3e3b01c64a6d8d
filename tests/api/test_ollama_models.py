"""What Ollama's clients read of the models: names, lists, facts of the file, and those of another server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import httpx
import ollama
import pytest
from ollama import Client

from chatglm_server.model_files.containers import read_model_file
from tests.random_gguf import write_random_gguf
from tests.raw_backend import RawBackend, delta, stream, whole
from tests.serving import RunningServer, user


def test_names(server: RunningServer) -> None:
    """With the tag or without, in any case; an alias; none at all."""
    client = Client(host=server.url)
    for name in ("demo", "demo:latest", "DEMO", "Demo:Latest", "gpt-3.5-turbo", "default-model:latest"):
        answer = client.chat(name, user("Hello!"), options={"num_predict": 1})
        assert answer.model == name
        assert client.show(name).details is not None
    assert server.post("/api/show", json={"name": "demo"}).status_code == 200
    openai = {"model": "demo:latest", "messages": user("Hello!"), "max_tokens": 1}
    assert server.post(json=openai).status_code == 200  # of clients that list here and ask there
    body = {"messages": user("Hello!"), "stream": False, "options": {"num_predict": 1}}
    assert server.post("/api/chat", json=body).json()["model"] == "demo"
    for name in ("demo:8b", "llama3", "demo:latest:latest"):
        for asked in (client.chat, client.generate, client.show, client.pull):
            with pytest.raises(ollama.ResponseError, match=f"^model '{name}' not found") as raised:
                asked(name)
            assert raised.value.status_code == 404


def test_the_lists_say_what_the_file_holds(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "Tiny.gguf", file_type=gguf.LlamaFileType.MOSTLY_Q4_K_M)
    reader = gguf.GGUFReader(path)
    count = sum(int(tensor.n_elements) for tensor in reader.tensors)
    with RunningServer("--model", str(path)) as server:
        client = Client(host=server.url)
        (listed,), (running,) = client.list().models, client.ps().models
        shown = client.show("tiny")
        openai = httpx.get(f"{server.url}/v1/models").json()["data"][0]
    assert listed.model == running.model == "Tiny:latest"
    assert listed.size == running.size == path.stat().st_size
    assert listed.digest == running.digest == read_model_file(path).digest()
    assert listed.modified_at is not None
    assert int(listed.modified_at.timestamp()) == int(path.stat().st_mtime) == openai["created"]
    details = listed.details
    assert details == running.details == shown.details
    assert details is not None
    assert (details.format, details.family, details.families) == ("gguf", "glm4", ["glm4"])
    assert details.quantization_level == "Q4_K_M"
    assert details.parameter_size == f"{count / 1e6:.1f}M"
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.parameter_count"] == count
    assert shown.modelinfo["general.architecture"] == "glm4"
    assert shown.modelinfo["glm4.context_length"] == running.context_length == openai["context_length"]
    assert shown.capabilities == ["completion", "tools"]
    assert running.expires_at is not None
    assert running.size_vram == 0


def test_a_digest_is_of_one_file(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "model.gguf")
    digest = read_model_file(path).digest()
    assert len(bytes.fromhex(digest)) == 32
    assert read_model_file(path.rename(tmp_path / "other.gguf")).digest() != digest
    assert read_model_file(write_random_gguf(path)).digest() == digest
    assert read_model_file(write_random_gguf(path, ends={"eom": 5})).digest() != digest


def test_the_version_looks_recent(server: RunningServer) -> None:
    version = httpx.get(f"{server.url}/api/version").json()["version"]
    assert tuple(map(int, version.split("."))) >= (0, 13, 4)  # what clients are known to ask for


def test_pull_finds_what_is_here(server: RunningServer) -> None:
    client = Client(host=server.url)
    assert client.pull("demo").status == "success"
    assert [step.status for step in client.pull("demo", stream=True)] == ["success"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "create"), ("POST", "copy"), ("POST", "push"), ("DELETE", "delete")),
        *(("HEAD", "blobs/sha256:00"), ("POST", "blobs/sha256:00")),
    ],
)
def test_the_models_stay(server: RunningServer, method: str, path: str) -> None:
    response = httpx.request(method, f"{server.url}/api/{path}", content=b"\0" * 10 if method == "POST" else None)
    assert response.status_code == 501
    if method != "HEAD":
        assert "chatglm-server" in response.json()["error"]


def test_load_and_unload(server: RunningServer) -> None:
    client = Client(host=server.url)
    loaded = client.generate("demo")
    assert (loaded.done, loaded.done_reason, loaded.response) == (True, "load", "")
    unloaded = client.chat("demo", keep_alive=0)
    assert (unloaded.done_reason, unloaded.message.content) == ("unload", "")
    assert client.generate("demo", "Hello!", keep_alive=0, options={"num_predict": 1}).done_reason == "length"


def test_without_an_embedder(server: RunningServer) -> None:
    with pytest.raises(ollama.ResponseError, match="--embedding-model") as raised:
        Client(host=server.url).embed("demo", "one")
    assert raised.value.status_code == 501


# ---- in front of another server ----

MODELS = {"object": "list", "data": [{"id": "zai-org/GLM-4.7", "created": 7, "max_model_len": 8192}, {"id": "x:8b"}]}


@pytest.fixture(scope="module")
def other() -> Any:
    with RawBackend(models=whole(MODELS)) as backend, RunningServer("--model", backend.address) as front:
        yield backend, front


def test_models_of_another_server(other: tuple[RawBackend, RunningServer]) -> None:
    backend, front = other
    client = Client(host=front.url)
    assert [model.model for model in client.list().models] == ["zai-org/GLM-4.7", "x:8b"]
    shown = client.show("zai-org/glm-4.7")
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo is not None
    assert shown.modelinfo[f"{shown.modelinfo['general.architecture']}.context_length"] == 8192
    backend.play(stream(delta({"content": "Hi"}), delta(reason="stop")))
    parts = list(client.chat("zai-org/GLM-4.7:latest", user("Hello!"), stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Hi"
    assert backend.requests[0].body["model"] == "zai-org/GLM-4.7"


def test_nouns_reach_another_server(other: tuple[RawBackend, RunningServer]) -> None:
    """Calls without ids get some, and results find their calls by id, by name or by their order."""
    backend, front = other
    backend.play(stream(delta({"content": "Hi"}), delta(reason="stop")))

    def call(name: str, city: str, id_: str | None = None) -> dict[str, Any]:
        given: dict[str, Any] = {"function": {"name": name, "arguments": {"city": city}}}
        return given | ({"id": id_} if id_ else {})

    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Paris and Oslo?"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "Both.",
            "tool_calls": [call("rain", "Paris"), call("sun", "Oslo")],
        },
        {"role": "tool", "content": "none", "tool_name": "sun"},
        {"role": "tool", "content": "much"},
        {"role": "assistant", "tool_calls": [call("rain", "Rome", "b"), call("rain", "Bonn", "c")]},
        {"role": "tool", "content": "c's", "tool_call_id": "c"},
        {"role": "tool", "content": "b's", "tool_name": "rain"},
    ]
    options = {"num_predict": 9, "repeat_penalty": 1.1, "seed": -1, "num_ctx": 4, "stop": "x"}
    body = {"model": "x:8b", "messages": messages, "options": options, "think": True, "keep_alive": "5m"}
    front.stream(body | {"format": {"type": "object"}}, "/api/chat")
    sent = backend.requests[0].body
    first, second = (call["id"] for call in sent["messages"][2]["tool_calls"])
    assert first != second
    assert sent["messages"][2]["reasoning_content"] == "Both."
    answered = [
        (message["content"], message["tool_call_id"]) for message in sent["messages"] if message["role"] == "tool"
    ]
    assert answered == [("none", second), ("much", first), ("c's", "c"), ("b's", "b")]
    assert sent["max_tokens"] == 9
    assert sent["repetition_penalty"] == 1.1
    assert sent["stop"] == ["x"]
    assert sent["chat_template_kwargs"] == {"enable_thinking": True}
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert not {"seed", "options", "keep_alive", "think", "num_ctx"} & set(sent)


def test_calls_of_another_server(other: tuple[RawBackend, RunningServer]) -> None:
    """Fragments of two calls by turns, one call without arguments, and arguments that are no object: they are text."""
    backend, front = other

    def piece(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
        call = {"index": index, "type": "function", "function": {"name": name, "arguments": arguments}}
        return delta({"tool_calls": [call | ({"id": f"id{index}"} if name else {})]})

    begun = [piece(0, "", "now"), piece(1, '{"city":', "rain"), piece(2, '{"city"', "sun"), piece(3, "not ", "wind")]
    backend.play(
        stream(*begun, piece(1, '"Rome"}'), piece(3, "JSON"), piece(2, ':"Bonn"}'), delta(reason="tool_calls"))
    )
    parts = list(Client(host=front.url).chat("x:8b", user("Hello!"), stream=True))
    assert "".join(part.message.content or "" for part in parts) == "not JSON"
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    assert [(call.name, call.arguments) for call in calls] == [
        ("now", {}),
        ("rain", {"city": "Rome"}),
        ("sun", {"city": "Bonn"}),
    ]
    assert parts[-1].done_reason == "stop"
