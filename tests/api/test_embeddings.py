"""/v1/embeddings, Ollama's /api/embed, /embedding and /keyword with a real model: all-MiniLM-L6-v2."""

from __future__ import annotations

import base64
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import ollama
import pytest
from ollama import Client
from openai import OpenAI
from transformers import AutoTokenizer

from tests.conftest import MINILM
from tests.serving import RunningServer

DIMENSIONS = 384
LONG = "hello " * 1000
DOCUMENT = (
    "Supervised learning is the machine learning task of learning a function that maps an input to an output "
    "based on example input-output pairs. It infers a function from labeled training data."
)


def vectors(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    """The vectors of an answer of /v1/embeddings, a row each."""
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    return np.array([item["embedding"] for item in answer["data"]])


def embed(server: RunningServer, value: object, **more: object) -> np.ndarray[Any, Any]:
    response = server.post("/v1/embeddings", json={"input": value, **more})
    assert response.status_code == 200, response.text
    return vectors(response.json())


def test_like_sentences_are_nearer_than_unlike_ones(embedding_server: RunningServer) -> None:
    pairs = [
        ("A man is eating food.", "Someone is having a meal."),
        ("The stock market fell sharply today.", "Shares lost a lot of their value."),
        ("How do I reset my password?", "I forgot my login and need a new one."),
    ]
    found = embed(embedding_server, [sentence for pair in pairs for sentence in pair])
    cosine = found @ found.T
    for number in range(len(pairs)):
        twin = cosine[2 * number].copy()
        twin[2 * number] = -1
        assert twin.argmax() == 2 * number + 1


def test_vectors_have_length_one(embedding_server: RunningServer) -> None:
    found = embed(embedding_server, ["one", "two two two"])
    assert found.shape == (2, DIMENSIONS)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_base64_is_the_same_as_float(embedding_server: RunningServer) -> None:
    body = {"input": "the same text", "encoding_format": "base64"}
    (item,) = embedding_server.post("/v1/embeddings", json=body).json()["data"]
    decoded = struct.unpack(f"<{DIMENSIONS}f", base64.b64decode(item["embedding"]))
    assert list(decoded) == embed(embedding_server, "the same text")[0].tolist()


def test_dimensions_are_cut_and_scaled(embedding_server: RunningServer) -> None:
    whole = embed(embedding_server, "text")[0]
    for dimensions in (1, 64, DIMENSIONS):
        cut = embed(embedding_server, "text", dimensions=dimensions)[0]
        assert np.allclose(cut, whole[:dimensions] / np.linalg.norm(whole[:dimensions]), atol=1e-6)


def test_tokens_are_those_of_the_embedding_model(embedding_server: RunningServer) -> None:
    text = "Some words, and some more."
    ids = AutoTokenizer.from_pretrained(MINILM, local_files_only=True)(text)["input_ids"]
    whole = embedding_server.post("/v1/embeddings", json={"input": text}).json()
    assert whole["usage"] == {"prompt_tokens": len(ids), "total_tokens": len(ids)}
    for given in (ids, [ids], [ids[1:-1]]):  # with [CLS] and [SEP], or without
        assert np.allclose(embed(embedding_server, given)[0], vectors(whole)[0], atol=1e-6)


def test_many_texts_keep_their_order(embedding_server: RunningServer) -> None:
    texts = [f"{'word ' * (number % 50)}{number}" for number in range(150)]
    found = embed(embedding_server, texts)
    for number in (0, 49, 50, 149):
        assert np.allclose(found[number], embed(embedding_server, texts[number])[0], atol=1e-5)


def test_concurrent_requests_get_what_is_theirs(embedding_server: RunningServer) -> None:
    texts = [f"{'long ' * (number * 5)}request number {number}" for number in range(24)]
    with ThreadPoolExecutor(len(texts)) as pool:
        together = list(pool.map(lambda text: embed(embedding_server, text)[0], texts))
    for found, alone in zip(together, embed(embedding_server, texts), strict=True):
        assert np.allclose(found, alone, atol=1e-5)


def test_openai_client(embedding_server: RunningServer) -> None:
    client = OpenAI(base_url=f"{embedding_server.url}/v1", api_key="none", max_retries=0)
    answer = client.embeddings.create(model="text-embedding-3-small", input=["a cat", "a kitten"], dimensions=128)
    assert (answer.object, answer.model) == ("list", MINILM.name)
    assert [len(item.embedding) for item in answer.data] == [128, 128]
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({}, 400, "input", "invalid_value"),
        ({"input": ""}, 400, "input[0]", "invalid_value"),
        ({"input": []}, 400, "input", "invalid_value"),
        ({"input": ["fine", ""]}, 400, "input[1]", "invalid_value"),
        ({"input": ["x"] * 2049}, 400, "input", "invalid_value"),
        ({"input": 5}, 400, "input", "invalid_value"),
        ({"input": [1, "x"]}, 400, "input", "invalid_value"),
        ({"input": [[7592], []]}, 400, "input[1]", "invalid_value"),
        ({"input": [[7592], [30522]]}, 400, "input[1]", "invalid_value"),
        ({"input": [-1]}, 400, "input[0]", "invalid_value"),
        ({"input": [101, 102]}, 400, "input[0]", "invalid_value"),
        ({"input": ["fine", LONG]}, 400, "input[1]", "context_length_exceeded"),
        ({"input": [[7592] * 257]}, 400, "input[0]", "context_length_exceeded"),
        ({"input": "x" * 100_001}, 400, "input[0]", "invalid_value"),
        ({"input": "x", "dimensions": 0}, 400, "dimensions", "invalid_value"),
        ({"input": "x", "dimensions": DIMENSIONS + 1}, 400, "dimensions", "invalid_value"),
        ({"input": "x", "encoding_format": "hex"}, 400, "encoding_format", "invalid_value"),
        ({"input": "x", "model": "other"}, 404, "model", "model_not_found"),
    ],
)
def test_bad_inputs(embedding_server: RunningServer, body: dict[str, Any], status: int, param: str, code: str) -> None:
    response = embedding_server.post("/v1/embeddings", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["code"]) == (status, param, code)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/embeddings", {"input": "x"}), ("/embedding", {"prompt": ["x"]}), ("/keyword", {"input": "some words"})],
)
def test_without_a_model(server: RunningServer, path: str, body: dict[str, Any]) -> None:
    response = server.post(path, json=body)
    assert response.status_code == 501
    assert "--embedding-model" in response.json()["error"]["message"]


def test_embedding_of_glm_api(embedding_server: RunningServer) -> None:
    body = {"model": "all-MiniLM-L12-v2", "prompt": ["hello world", "hello GPT"]}
    answer = embedding_server.post("/embedding", json=body).json()
    assert answer.keys() == {"data", "model", "object"}
    assert (answer["model"], answer["object"]) == (MINILM.name, "embedding")
    assert np.allclose(answer["data"], embed(embedding_server, body["prompt"]), atol=1e-5)  # MiniLM's have length 1


@pytest.mark.parametrize("path", ["/embedding", "/v1/embeddings"])
def test_names_of_models_with_other_vectors_do_not_answer(embedding_server: RunningServer, path: str) -> None:
    """MiniLM's vectors have 384 numbers. OpenAI's names stand for whatever model there is."""
    body = {"prompt": ["x"], "input": "x"}
    for name, status in (
        ("text2vec-base-chinese", 404),
        ("text2vec-large-chinese", 404),
        ("text2vec-base-multilingual", 200),
        ("text-embedding-ada-002", 200),
        ("Text-Embedding-Ada-002:latest", 200),
    ):
        response = embedding_server.post(path, json=body | {"model": name})
        assert response.status_code == status, name
        if status == 404:
            assert response.json()["error"]["param"] == "model"


def test_embedding_of_glm_api_says_what_it_cut(embedding_server: RunningServer) -> None:
    answer = embedding_server.post("/embedding", json={"prompt": ["short", LONG]}).json()
    assert answer["truncated"] == [1]
    assert np.allclose(answer["data"][1], embed(embedding_server, "hello " * 254)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/embedding", {}, 400, "prompt"),
        ("/embedding", {"prompt": "text"}, 400, "prompt"),
        ("/embedding", {"prompt": []}, 400, "prompt"),
        ("/embedding", {"prompt": [5]}, 400, "prompt[0]"),
        ("/embedding", {"prompt": ["x"], "model": "no-such-model"}, 404, "model"),  # a KeyError in GLM-API
        ("/keyword", {}, 400, "input"),
        ("/keyword", {"input": ["one", "two"]}, 400, "input"),
        ("/keyword", {"input": "x", "top": 0}, 400, "top"),
        ("/keyword", {"input": "x", "diversity": 2}, 400, "diversity"),
        ("/keyword", {"input": "x", "maxsum": True}, 400, "maxsum"),
        ("/keyword", {"input": "x", "vocab": "x"}, 400, "vocab"),
        ("/keyword", {"input": "x", "model": "no-such-model"}, 404, "model"),
        ("/keyword", {"input": " ".join(f"word{number}" for number in range(2049))}, 400, "input"),
    ],
)
def test_bad_inputs_of_glm_api(
    embedding_server: RunningServer, path: str, body: dict[str, Any], status: int, param: str
) -> None:
    response = embedding_server.post(path, json=body)
    assert (response.status_code, response.json()["error"]["param"]) == (status, param)


def keywords(server: RunningServer, text: str, **more: object) -> list[str]:
    answer = server.post("/keyword", json={"input": text, **more}).json()
    assert answer["model"] == MINILM.name
    scores = [item["similarity"] for item in answer["keywords"]]
    assert scores == sorted(scores, reverse=True)
    return [item["name"] for item in answer["keywords"]]


def test_keywords(embedding_server: RunningServer) -> None:
    found = keywords(embedding_server, DOCUMENT)
    assert len(found) == 10
    assert {"supervised", "learning", "training"} <= set(found[:4])
    assert not {"the", "is", "of", "a"} & set(keywords(embedding_server, DOCUMENT, top=100))


def test_keywords_that_are_unlike_each_other(embedding_server: RunningServer) -> None:
    text = "The king and the queen and the prince and the princess of the kingdom went by bicycle."
    alike = keywords(embedding_server, text, top=3)
    unlike = keywords(embedding_server, text, top=3, mmr=True, diversity=0.7)
    assert alike[0] == unlike[0]
    assert set(alike) != set(unlike)
    pairs = {name: embed(embedding_server, names) for name, names in (("alike", alike), ("unlike", unlike))}
    assert np.triu(pairs["unlike"] @ pairs["unlike"].T, 1).sum() < np.triu(pairs["alike"] @ pairs["alike"].T, 1).sum()


def test_keywords_of_a_vocabulary(embedding_server: RunningServer) -> None:
    vocabulary = ["Machine Learning", "art", "function", "function", "painting", ""]
    assert set(keywords(embedding_server, DOCUMENT, vocab=vocabulary)) == {"Machine Learning", "function"}
    assert keywords(embedding_server, DOCUMENT, vocab=["painting"]) == []


def test_chinese_keywords(embedding_server: RunningServer) -> None:
    found = keywords(embedding_server, "机器学习是人工智能的一个分支，神经网络是其中的重要方法。", top=20)
    assert {"人工智能", "神经网络"} <= set(found)
    assert all(len(word) > 1 for word in found)
    assert keywords(embedding_server, "机器学习是人工智能的一个分支", vocab=["机器学习", "网络"]) == ["机器学习"]


def test_ollamas_client(embedding_server: RunningServer) -> None:
    """Vectors of length 1, and from the older endpoint as the model gives them."""
    client = Client(host=embedding_server.url)
    texts = ["one", "two two two"]
    openai = embedding_server.post("/v1/embeddings", json={"input": texts}).json()
    answer = client.embed(f"{MINILM.name}:latest", texts)
    assert np.allclose(answer.embeddings, [item["embedding"] for item in openai["data"]], atol=1e-6)
    assert answer.prompt_eval_count == openai["usage"]["prompt_tokens"]
    assert isinstance(answer.total_duration, int)
    (short,) = client.embed(MINILM.name, "one", dimensions=8).embeddings
    assert len(short) == 8
    assert abs(np.linalg.norm(short) - 1) < 1e-5
    assert client.embed(MINILM.name, "").embeddings == []
    glm = embedding_server.post("/embedding", json={"prompt": ["one"]}).json()
    assert np.allclose(client.embeddings(MINILM.name, "one").embedding, glm["data"][0], atol=1e-6)
    assert len(client.embed(MINILM.name, LONG).embeddings) == 1
    with pytest.raises(ollama.ResponseError, match="tokens") as raised:
        client.embed(MINILM.name, LONG, truncate=False)
    assert raised.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match=r"^model 'demo' not found"):
        client.embed("demo", "one")
    assert [model.model for model in client.list().models] == ["demo:latest", f"{MINILM.name}:latest".lower()]
    assert client.show(MINILM.name).capabilities == ["embedding"]
