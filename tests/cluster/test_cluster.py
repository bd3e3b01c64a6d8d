"""Two replicas behind one address: dialects, prefixes and figures."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx
import ollama
import psutil
import pytest
from openai import OpenAI
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.running_cluster import MAX_QUEUE, ROOT, RunningCluster
from tests.conftest import WEATHER
from tests.serving import RunningServer, user

QUESTION = "What is the weather in Paris?"
CONVERSATIONS, TURNS, CLIENTS = 20, 10, 4


@pytest.fixture
def client(cluster: RunningCluster) -> OpenAI:
    return OpenAI(base_url=f"{cluster.url}/v1", api_key="none", max_retries=0)


def figures(cluster: RunningCluster) -> dict[str, float]:
    """``GET /metrics``, summed over statuses."""
    text = httpx.get(f"{cluster.url}/metrics").text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0) + sample.value
    return found


def test_the_wire_is_that_of_one_server(cluster: RunningCluster) -> None:
    command = [sys.executable, "-m", "chatglm_server", "selftest", cluster.url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


def test_every_dialect_answers_as_one_server_does(cluster: RunningCluster, server: RunningServer) -> None:
    """Whole and streamed, read by each API's own client."""
    for url in (cluster.url, server.url):
        openai = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        messages: Any = user(QUESTION)
        chat = openai.chat.completions.create(model="demo", messages=messages, tools=[WEATHER], temperature=0)
        with openai.chat.completions.stream(model="demo", messages=messages, tools=[WEATHER], temperature=0) as stream:
            streamed = stream.get_final_completion()
        for completion in (chat, streamed):
            (call,) = completion.choices[0].message.tool_calls or []
            assert call.type == "function"
            assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    told = [told_by(url) for url in (cluster.url, server.url)]
    assert told[0] == told[1]


def told_by(url: str) -> list[object]:
    """The answers of a server to one question in each dialect."""
    openai = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    claude = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
    question: Any = user("Who are you?")
    with claude.messages.stream(
        model="demo", max_tokens=99, messages=question, extra_body={"temperature": 0}
    ) as stream:
        message = stream.get_final_message()
    lines = list(ollama.Client(url).chat("demo", question, stream=True, options={"temperature": 0}))
    counted = claude.messages.count_tokens(model="demo", messages=question)
    completion = openai.completions.create(model="demo", prompt="The", max_tokens=9, temperature=0)
    response = openai.responses.create(model="demo", input="Who are you?", temperature=0)
    refused = httpx.post(f"{url}/v1/chat/completions", json={"messages": question, "temperature": 9})
    too_long = httpx.post(f"{url}/v1/messages", json={"messages": user("word " * 9000), "max_tokens": 9})
    return [
        [block.to_dict() for block in message.content],
        "".join(line.message.content or "" for line in lines),
        counted.input_tokens,
        completion.choices[0].text,
        response.output_text,
        [model.id for model in openai.models.list()],
        (refused.status_code, refused.json()),
        (too_long.status_code, too_long.json()["error"]),
    ]


def test_the_turns_of_a_conversation_go_to_one_replica(client: OpenAI) -> None:
    """200 requests of 20 conversations, four at a time: nearly each turn finds what was said before in the cache."""

    def converse(number: int) -> list[bool]:
        messages: list[Any] = user(f"My name is {number}. What is the weather in city {number * 7}?")
        found, known = [], 0
        for turn in range(TURNS):
            answer = client.chat.completions.create(model="demo", messages=messages, max_tokens=24, temperature=0)
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is not None
            if turn:
                found.append((answer.usage.prompt_tokens_details.cached_tokens or 0) >= known)
            known = answer.usage.prompt_tokens
            messages += [{"role": "assistant", "content": answer.choices[0].message.content}]
            messages += user(f"And tell me about number {number * 100 + turn}, please.")
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = [hit for hits in pool.map(converse, range(CONVERSATIONS)) for hit in hits]
    assert len(found) == CONVERSATIONS * (TURNS - 1)
    assert sum(found) >= 0.9 * len(found)


def test_both_replicas_work(cluster: RunningCluster) -> None:
    """After the conversations above, or any: each replica has read prompts."""
    health = cluster.health()
    assert health["status"] == "ok"
    assert health["queue"]["max"] == 2 * MAX_QUEUE
    busy = [seconds_of_work(pid) for pid in cluster.replicas()]
    with ThreadPoolExecutor(CLIENTS) as pool:
        texts = [f"Is {number} a number?" for number in range(CLIENTS)]
        list(pool.map(lambda text: ask(cluster, messages=user(text), n=4, max_tokens=500, ignore_eos=True), texts))
    assert all(seconds_of_work(pid) > before for pid, before in zip(cluster.replicas(), busy, strict=True))


def seconds_of_work(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user)


def ask(cluster: RunningCluster, **body: Any) -> dict[str, Any]:
    response = httpx.post(f"{cluster.url}/v1/chat/completions", json=body, timeout=120)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_figures_are_those_of_all_replicas(cluster: RunningCluster) -> None:
    before = figures(cluster)
    with ThreadPoolExecutor(CLIENTS) as pool:
        texts = [f"What is {number}?" for number in range(8)]
        answers = list(pool.map(lambda text: ask(cluster, messages=user(text), max_tokens=20), texts))
    after = figures(cluster)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown["chatglm_requests_total"] == len(answers)
    assert grown["chatglm_prompt_tokens_total"] == sum(answer["usage"]["prompt_tokens"] for answer in answers)
    assert grown["chatglm_generated_tokens_total"] == sum(answer["usage"]["completion_tokens"] for answer in answers)
    assert after["chatglm_kv_cache_tokens"] == cluster.health()["kv_cache"]["tokens"]


def test_a_replica_that_does_not_answer_is_left_out(cluster: RunningCluster) -> None:
    """It stands still for a moment; Ray replaces it only later."""
    still = psutil.Process(min(cluster.replicas()))
    still.suspend()
    try:
        response = httpx.get(f"{cluster.url}/health", timeout=30)
        assert (response.status_code, response.json()["queue"]["max"]) == (200, MAX_QUEUE)
    finally:
        still.resume()
    cluster.wait_until_ready()


def test_without_a_key_only_this_machines_loopback_is_let_in(cluster: RunningCluster) -> None:
    """Ray listens on all addresses here."""
    interfaces = psutil.net_if_addrs().values()
    own = {address.address for addresses in interfaces for address in addresses if address.family == socket.AF_INET}
    for address in own | {"127.0.0.1"}:
        response = httpx.get(f"http://{address}:{cluster.port}/v1/models")
        assert response.status_code == (200 if address.startswith("127.") else 403), address
        assert response.is_success or "CHATGLM_API_KEY" in response.json()["error"]["message"]
