"""The chat page in Chromium: conversations, tools, branches, storage."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.support.ui import Select

from chatglm_server.chat import Message, Thinking
from chatglm_server.formats.registry import FORMATS
from tests.conftest import WEATHER
from tests.serving import RunningServer, user
from tests.web.browser import ChatPage, replaying


def glm4(raw: str, **more: Any) -> dict[str, Any]:
    """A recording of GLM-4, the answer to a question in a conversation with tools."""
    return {"format": "glm4", "raw": f"\n{raw}<|user|>", **more}


def kept(page: ChatPage) -> dict[str, Any]:
    """The latest conversation in the browser's storage."""
    (latest, *_) = page.script("return (await import('/web/js/storage.js')).everyConversation()")
    assert isinstance(latest, dict)
    return latest


def test_a_conversation_streams_and_is_kept(page: ChatPage, server: RunningServer) -> None:
    page.set(temperature="0", maxTokens="60", system="You are a demo.")
    messages = [{"role": "system", "content": "You are a demo."}, *user("Hello!")]
    first = server.post(json={"messages": messages, "temperature": 0, "max_tokens": 60}).json()
    text = first["choices"][0]["message"]["content"]
    page.ask("Hello!")
    assert page.answered() == ["Hello!", text.strip()]
    strip = page.text("#strip")
    used, length = first["usage"]["total_tokens"], httpx.get(f"{server.url}/v1/models").json()["data"][0]
    assert f"{used} / {length['context_length']:,}" in strip
    assert all(name in strip for name in ("Tokens/s", "First token", "From cache", "0 running, 0 waiting"))
    page.ask("Who are you?")
    talk = page.answered()
    assert len(talk) == 4
    assert page.one("#announcer").get_attribute("textContent") == talk[-1]
    page.open()
    assert page.answered() == talk
    page.click("New conversation", "nav")
    assert page.answered() == []
    page.click("Hello!", "#conversations")
    assert page.answered() == talk
    assert page.one("#system").get_attribute("value") == "You are a demo."
    page.click("Delete “Hello!”")
    page.click("Delete", "#confirm-dialog")
    assert page.answered() == []
    page.open()
    assert [button.text for button in page.all("#conversations .open")] == ["New conversation"]


def test_a_call_is_answered_by_hand(page: ChatPage) -> None:
    page.set(temperature="0", ownTools=json.dumps(WEATHER))
    page.ask("What is the weather in Paris?")
    page.answered()
    card = page.one(".call")
    assert card.accessible_name == "Call of get_weather"
    assert json.loads(page.text(".call .arguments")) == {"city": "Paris"}
    page.one(".call textarea").send_keys('{"temperature": 21, "condition": "sunny"}')
    page.click("Send the result")
    assert "21" in page.answered()[-1]
    assert '"temperature": 21' in page.text(".call .result")


def test_tools_run_in_the_browser(browser: Chrome, tmp_path: Path) -> None:
    calls = [
        {"format": "glm4", "raw": f"\n{name}\n{arguments}<|observation|>"}
        for name, arguments in (
            ("calculator", '{"expression": "2 * (3 + 4)^2"}'),
            ("dice", '{"count": 3, "sides": 1}'),
            ("calculator", '{"expression": "alert(1)"}'),
            ("current_time", '{"time_zone": "Asia/Shanghai"}'),
        )
    ]
    unknown = {"format": "glm45", "raw": "\n<tool_call>clock\n</tool_call><|observation|>"}
    with replaying(browser, tmp_path, *calls, unknown, glm4("All done.")) as page:
        page.click("Settings")
        for name in ("calculator", "dice", "current_time"):
            page.one(f"#tool-{name}").click()
        page.click("Close", "#settings")
        page.ask("Try them all.")
        assert page.answered()[-1] == "All done."
        results = [json.loads(element.text) for element in page.all(".call .result")]
        written = [message["text"] for message in kept(page)["messages"] if message["role"] == "tool"]
    assert written[:2] == ['{"result": 98}', '{"sum": 3, "rolls": "1, 1, 1"}']
    assert results[0] == {"result": 98}
    assert results[1] == {"sum": 3, "rolls": "1, 1, 1"}
    assert '"alert"' in results[2]["error"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", results[3]["time"])
    assert results[3]["time_zone"] == "Asia/Shanghai"
    assert results[4]["error"] == "there is no tool clock; there is current_time, calculator, dice"


def test_stop(browser: Chrome, tmp_path: Path) -> None:
    with replaying(browser, tmp_path, glm4("word " * 2000, chunk_size=5, delay_ms=20)) as page:
        page.ask("Write.")
        page.wait(lambda: "word word" in page.text("#messages"))
        page.one("#question").send_keys(Keys.ESCAPE)
        (_, text) = page.answered()
        assert text.startswith("word word")
        assert len(text) < 5000
        assert "You stopped this answer" in page.text("#messages")
        page.wait(lambda: httpx.get(f"{page.url}/health").json()["queue"]["running"] == 0)


def test_thoughts_are_folded_away(browser: Chrome, tmp_path: Path) -> None:
    raw = "\n<think>Let me see.</think>\nIt is **four**.<|user|>"
    with replaying(browser, tmp_path, {"format": "glm45", "raw": raw, "chunk_size": 4, "delay_ms": 10}) as page:
        page.ask("2 + 2?")
        assert page.answered()[-1] == "It is four."
        assert page.text(".thought summary").startswith("Thought for 0.")
        assert not page.one(".thought-text").is_displayed()
        page.one(".thought summary").click()
        assert page.text(".thought-text") == "Let me see."


def test_thinking_is_switched_for_a_conversation(browser: Chrome, tmp_path: Path) -> None:
    """The prompt of a recording's answer has the length of the one with the switch."""
    question = (Message("user", "Hello!"),)
    whole, short = (
        len(FORMATS["glm45"].render(question, (), Thinking(enabled=enabled)).text) for enabled in (True, False)
    )
    assert whole != short
    with replaying(browser, tmp_path, {"format": "glm45", "raw": "\n<think></think>\nHi.<|user|>"}) as page:
        for words, length in (("off", short), ("on", whole), ("the model's default", whole)):
            page.click("New conversation", "nav")
            page.click("Settings")
            Select(page.one("#thinking")).select_by_visible_text(words)
            page.click("Close", "#settings")
            page.ask("Hello!")
            assert page.answered() == ["Hello!", "Hi."]
            assert kept(page)["messages"][-1]["figures"]["prompt"] == length
        page.all("#conversations .open")[-1].click()
        assert Select(page.one("#thinking")).first_selected_option.get_attribute("value") == "off"


def test_a_model_that_cannot_think_has_no_switch(page: ChatPage) -> None:
    page.click("Settings")
    assert page.one("#temperature").is_displayed()
    assert not page.one("#thinking").is_displayed()


def test_why_an_answer_ends(browser: Chrome, tmp_path: Path) -> None:
    call = {"format": "glm4", "raw": '\ndice\n{"count": 1}<|observation|>'}
    with replaying(browser, tmp_path, {"format": "glm4", "raw": "\n<|user|>"}, *[call] * 10, glm4("Over.")) as page:
        page.ask("Say nothing.")
        page.answered()
        assert "wrote nothing" in page.text("#messages .end")
        page.click("Settings")
        page.one("#tool-dice").click()
        page.click("Close", "#settings")
        page.ask("Roll on and on.")
        page.answered()
        assert "called tools many times" in page.all("#messages .end")[-1].text
        page.ask("Go on.")
        assert page.answered()[-1] == "Over."
        page.set(maxTokens="8")
        page.click("New conversation", "nav")
        page.ask("A call that is cut.")
        page.answered()
        page.click("Regenerate")
        page.answered()
        assert "reached its limit" in page.text("#messages .end")
        assert not page.all(".call")


def test_an_answer_that_fills_the_context(browser: Chrome, tmp_path: Path) -> None:
    with replaying(browser, tmp_path, glm4("word " * 100), context_length=200) as page:
        page.ask("Write.")
        page.answered()
        assert "Start a new one, or edit an earlier message" in page.text("#messages .end")


def test_branches(browser: Chrome, tmp_path: Path) -> None:
    with replaying(browser, tmp_path, *(glm4(text) for text in ("One.", "Two.", "Three."))) as page:
        page.ask("Count")
        assert page.answered() == ["Count", "One."]
        page.click("Regenerate")
        assert page.answered() == ["Count", "Two."]
        assert page.text(".branches span") == "2/2"
        page.click("Previous branch")
        assert page.answered() == ["Count", "One."]
        page.click("Edit")
        page.one(".editor textarea").send_keys(" on")
        page.click("Send as a new branch")
        assert page.answered() == ["Count on", "Three."]
        page.open()
        assert page.answered() == ["Count on", "Three."]
        page.click("Previous branch")
        assert page.answered() == ["Count", "One."]


def test_two_tabs(browser: Chrome, tmp_path: Path) -> None:
    """What one writes, the other shows; neither writes over it."""
    with replaying(browser, tmp_path, *(glm4(text) for text in ("One.", "Two.", "Three."))) as page:
        first, left = browser.current_window_handle, "[title='Delete “Count”']"
        page.ask("Count")
        page.answered()
        browser.switch_to.new_window("tab")
        second = browser.current_window_handle
        page.open()
        page.ask("On")
        whole = ["Count", "One.", "On", "Two."]
        assert page.answered() == whole
        browser.switch_to.window(first)
        page.wait(lambda: page.answered() == whole)
        page.click("Regenerate")
        page.wait(lambda: page.answered() == [*whole[:3], "Three."])
        browser.switch_to.window(second)
        page.wait(lambda: page.text(".branches span") == "1/2")
        assert page.answered() == whole
        browser.switch_to.window(first)
        page.click("New conversation", "nav")
        browser.switch_to.window(second)
        page.click("Delete “Count”")
        page.click("Delete", "#confirm-dialog")
        page.wait(lambda: not page.all(left))
        browser.close()
        browser.switch_to.window(first)
        page.wait(lambda: not page.all(left))
        page.open()
        assert not page.all(left)


def test_states_of_one_conversation_are_joined(page: ChatPage) -> None:
    """Two tabs keep what they have of it, and neither has heard of the other's messages."""
    page.ask("Hello!")
    page.answered()
    texts = page.script(
        "const {everyConversation, save} = await import('/web/js/storage.js');"
        "const {add} = await import('/web/js/conversation.js');"
        "const tabs = [(await everyConversation())[0], (await everyConversation())[0]];"
        "const last = tabs[0].messages.at(-1).id;"
        "tabs.forEach((tab, number) => add(tab, last, {role: 'user', text: `from tab ${number}`}));"
        "for (const tab of [...tabs, tabs[0]]) await save(tab);"
        "return (await everyConversation())[0].messages.map(({text}) => text)"
    )
    assert texts[0] == "Hello!"
    assert sorted(texts[2:]) == ["from tab 0", "from tab 1"]


def test_a_long_conversation(browser: Chrome, tmp_path: Path) -> None:
    """It is shown at its end, while its messages are rendered, and they do not hold up other requests."""
    texts = [f"Number {number}\n\n```python\n{'x = 1' * 9}\n```\n" * 4 for number in range(60)]
    messages = [
        {"id": f"{number}", "parent": f"{number - 1}" if number else "", "role": "assistant", "text": text}
        for number, text in enumerate(texts)
    ]
    conversation = {"title": "Long", "messages": messages}
    written = tmp_path / "long.json"
    written.write_text(json.dumps({"format": "chatglm-server chat", "version": 1, "conversations": [conversation]}))
    with replaying(browser, tmp_path, glm4("One.")) as page:
        page.one("#import").send_keys(str(written))
        page.wait(lambda: page.all(".message"))
        page.open()
        page.wait(lambda: not page.all("[aria-busy=true]"))
        page.wait(lambda: below(page) < 2)
        ends = page.script(
            "return performance.getEntriesByType('resource').map(({name, responseEnd}) => [responseEnd, name])"
        )
        order = [name.rpartition("/")[2] for _, name in sorted(ends)]
        assert order.index("models") < order.index("render") + 30


GROW = """
const grow = () => {
  const tall = document.createElement("div");
  tall.style.height = "300px";
  document.querySelector("#messages").append(tall);
};
const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
"""


def below(page: ChatPage) -> float:
    """Pixels of the messages that are below the part in sight."""
    pixels = page.script(
        "const {scrollHeight, scrollTop, clientHeight} = document.querySelector('#scroller');"
        "return scrollHeight - scrollTop - clientHeight"
    )
    assert isinstance(pixels, (int, float))
    return pixels


def test_the_end_is_followed_until_a_person_scrolls_up(browser: Chrome, tmp_path: Path) -> None:
    """Also where messages grow again before the browser tells of the last scrolling."""
    with replaying(browser, tmp_path, glm4("One.")) as page:
        page.script(f"{GROW} for (let n = 0; n < 9; n++) grow(); await frame(); setTimeout(grow)")
        page.wait(lambda: below(page) < 2)
        page.script(
            f"{GROW} document.querySelector('#scroller').scrollTop -= 200; await frame(); await frame(); grow()"
        )
        page.script(f"{GROW} await frame(); await frame()")
        assert below(page) > 400
        page.script(
            f"{GROW} document.querySelector('#scroller').scrollTop += 1000; await frame(); await frame(); grow()"
        )
        page.wait(lambda: below(page) < 2)


def test_export_and_import(browser: Chrome, tmp_path: Path, downloads: Path) -> None:
    with replaying(browser, tmp_path, glm4("One."), glm4("Two.")) as page:
        page.ask("Count")
        page.answered()
        page.click("Regenerate")
        page.answered()
        page.click("Export all")
        exported = downloads / "chats.json"
        page.wait(exported.exists)
        page.begin()
        field = page.one("#import")
        whole = exported.read_text(encoding="utf-8")
        for text, words in (
            (whole[1:], "not JSON"),
            (whole.replace("chatglm-server chat", "other"), "no conversations of this page"),
            (whole.replace('"assistant"', '"root"', 1), "“role”"),
            (whole.replace('"parent": ""', '"parent": "nowhere"'), "“id”"),
        ):
            broken = tmp_path / "broken.json"
            broken.write_text(text, encoding="utf-8")
            field.send_keys(str(broken))
            page.wait(lambda words=words: words in page.text("#notice"))  # type: ignore[misc]
        assert page.answered() == []
        field.send_keys(str(exported))
        page.wait(lambda: page.answered() == ["Count", "Two."])
        assert page.text(".branches span") == "2/2"
