"""Which replica a request goes to, by what each has read and how busy each is."""

from __future__ import annotations

from collections import Counter

from chatglm_server.chat import ChatRequest, CompletionRequest, Message, Tool
from chatglm_server.cluster.prefixes import PrefixMap, prefixes

SYSTEM = Message("system", "Be brief.")
QUESTION = Message("user", "What is the weather in Paris?")
ANSWER = Message("assistant", "It is sunny.")
NEXT = Message("user", "And in London?")
TOOL = Tool({"name": "get_weather", "parameters": {"type": "object"}})
IDLE = {"a": 0, "b": 0}


def digests(request: ChatRequest | CompletionRequest) -> list[bytes]:
    return [prefix.digest for prefix in prefixes(request)]


def test_the_next_turn_has_all_prefixes_of_the_last_one() -> None:
    first = digests(ChatRequest((SYSTEM, QUESTION), (TOOL,)))
    second = digests(ChatRequest((SYSTEM, QUESTION, ANSWER, NEXT), (TOOL,)))
    assert len(first) == 2
    assert len(second) == 4
    assert second[:2] == first


def test_what_comes_first_counts() -> None:
    """Another tool, instruction or earlier message makes another prefix of all that follow."""
    known = digests(ChatRequest((SYSTEM, QUESTION), (TOOL,)))
    for request in (
        ChatRequest((SYSTEM, QUESTION)),
        ChatRequest((Message("system", "Be long."), QUESTION), (TOOL,)),
        ChatRequest((NEXT, QUESTION), (TOOL,)),
    ):
        assert not set(known) & set(digests(request))


def test_what_does_not_change_the_prompts_beginning_does_not_count() -> None:
    assert digests(ChatRequest((QUESTION,), streamed=True, model="x")) == digests(ChatRequest((QUESTION,)))


def test_bare_prompts_are_cut_into_pieces() -> None:
    text = "".join(str(number) for number in range(2000))
    whole, longer, other = (digests(CompletionRequest((prompt,))) for prompt in (text, text + "!", "!" + text))
    assert len(whole) == len(text) // 1024
    assert longer == whole
    assert not set(other) & set(whole)
    tokens = tuple(range(3000))
    assert len(digests(CompletionRequest((tokens,)))) == 2
    assert digests(CompletionRequest(("short",))) == digests(CompletionRequest(())) == []


def test_a_conversation_stays_where_it_began() -> None:
    known: PrefixMap[str] = PrefixMap(most_behind=4)
    known.add(prefixes(ChatRequest((QUESTION,))), "b")
    asked = prefixes(ChatRequest((QUESTION, ANSWER, NEXT)))
    assert known.choose(asked, IDLE) == "b"
    assert known.choose(asked, {"a": 0, "b": 4}) == "b"
    assert known.choose(asked, {"a": 0, "b": 5}) == "a"


def test_the_longest_prefix_wins() -> None:
    known: PrefixMap[str] = PrefixMap(most_behind=4)
    known.add(prefixes(ChatRequest((QUESTION,))), "a")
    known.add(prefixes(ChatRequest((QUESTION, ANSWER, NEXT))), "b")
    assert known.choose(prefixes(ChatRequest((QUESTION, ANSWER, NEXT, ANSWER))), {"a": 0, "b": 3}) == "b"


def test_of_those_that_hold_it_the_least_busy_one_answers() -> None:
    known: PrefixMap[str] = PrefixMap(most_behind=4)
    for name in ("a", "b"):
        known.add(prefixes(ChatRequest((QUESTION,))), name)
    assert known.choose(prefixes(ChatRequest((QUESTION, ANSWER, NEXT))), {"a": 2, "b": 1, "c": 0}) == "b"


def test_new_conversations_are_spread() -> None:
    known: PrefixMap[str] = PrefixMap(most_behind=4)
    chosen: Counter[str] = Counter()
    for number in range(10):
        asked = prefixes(ChatRequest((SYSTEM, Message("user", f"What is {number} and {number}?"))))
        name = known.choose(asked, IDLE)
        known.add(asked, name)
        chosen[name] += 1
    assert chosen == {"a": 5, "b": 5}


def test_instructions_count_if_they_are_most_of_the_prompt() -> None:
    known: PrefixMap[str] = PrefixMap(most_behind=4)
    long = Message("system", "Answer as the house rules say. " * 100)
    known.add(prefixes(ChatRequest((long, QUESTION))), "b")
    known.add(prefixes(ChatRequest((ANSWER, QUESTION, ANSWER, NEXT))), "b")
    assert known.choose(prefixes(ChatRequest((long, NEXT))), IDLE) == "b"
    assert known.choose(prefixes(ChatRequest((SYSTEM, NEXT))), IDLE) == "a"


def test_a_replica_that_is_gone_is_forgotten() -> None:
    known: PrefixMap[str] = PrefixMap(most_behind=4)
    asked = prefixes(ChatRequest((QUESTION,)))
    known.add(asked, "a")
    known.keep({"b"})
    assert known.choose(asked, {"b": 9}) == "b"
    known.add(asked, "b")
    assert known.choose(asked, IDLE) == "b"


def test_only_the_latest_prefixes_are_remembered() -> None:
    known: PrefixMap[str] = PrefixMap(most_behind=4, most=2)
    asked = [prefixes(ChatRequest((Message("user", text),))) for text in "xyz"]
    for one in asked[:2]:
        known.add(one, "b")
    known.add(asked[0], "b")  # used again, so that the other one is the oldest
    known.add(asked[2], "b")
    assert known.choose(asked[0], IDLE) == known.choose(asked[2], IDLE) == "b"
    assert known.choose(asked[1], IDLE) == "a"
