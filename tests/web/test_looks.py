"""The chat page for everyone: labels, contrast, phones, Chinese."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys

from tests.web.browser import ChatPage, replaying

AXE = Path(__file__).parent / "axe"
ANSWER = """
<think>Two parts.</think>
Some *text* with `code`, a [link](https://good.example/), and

> a quotation

| a | b |
|--:|---|
| 1 | 2 |

```python
@decorated
def f(x: int = 3) -> str:  # a comment
    return "text" + str(x)
```

A formula \\(x^2\\), and a long one:
\\[
\\begin{aligned}
a &= b + \\boxed{c} \\\\
- d &= 1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 14 + 15 + 16 + 17 + 18 + 19 + 20
\\end{aligned}
\\]
<tool_call>calculator
<arg_key>expression</arg_key>
<arg_value>1 + 1</arg_value>
</tool_call><tool_call>by_hand
</tool_call><|observation|>"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The rules' source, as the lock file says."""
    script = AXE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        words = ["npm", "ci", "--no-audit", "--no-fund"]
        subprocess.run(words, cwd=AXE, check=True, capture_output=True, timeout=300)
    return script.read_text(encoding="utf-8")


def faults(page: ChatPage, axe: str) -> list[str]:
    """What axe finds wrong with the page as it is."""
    page.browser.execute_script(axe)
    found = page.script("return (await axe.run()).violations.map(({id, nodes}) => [id, nodes.map((one) => one.html)])")
    return [f"{rule}: {nodes}" for rule, nodes in found]


def test_labels_and_contrast(browser: Chrome, tmp_path: Path, axe: str) -> None:
    with replaying(browser, tmp_path, {"format": "glm45", "raw": ANSWER}) as page:
        assert faults(page, axe) == []
        page.set(ownTools='{"name": "by_hand"}')
        page.click("Settings")
        page.one("#tool-calculator").click()
        page.ask("Show all.")
        page.answered()
        page.one(".thought summary").click()
        assert [formula.get_dom_attribute("display") for formula in page.all(".rendered math")] == [None, "block"]
        assert len({cell.rect["x"] + cell.rect["width"] for cell in page.all(".rendered mtd.right")}) == 1
        assert page.one(".rendered menclose").value_of_css_property("border-top-style") == "solid"
        page.one("#temperature").send_keys("hot")
        assert "from 0 to 2" in page.text("#temperature-fault")
        page.ask("Refused.")
        assert "Temperature" in page.text("#notice")
        page.one("#temperature").send_keys(Keys.BACKSPACE * 3)
        assert not page.one("#notice").is_displayed()
        page.one("#temperature").send_keys("hot")
        page.ask("")
        for scheme in ("light", "dark"):
            page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert faults(page, axe) == [], scheme
        page.click("Close", "#settings")
        page.emulate("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
        try:
            assert faults(page, axe) == []
            width = "return document.documentElement.scrollWidth"
            assert browser.execute_script(width) == 360
            page.one("#menu").click()
            assert page.one("#new").is_displayed()
            assert faults(page, axe) == []
        finally:
            page.emulate("Emulation.clearDeviceMetricsOverride")
            page.emulate("Emulation.setEmulatedMedia", features=[])


def test_with_keys_alone(browser: Chrome, tmp_path: Path) -> None:
    call = {"format": "glm4", "raw": "\nby_hand\n{}<|observation|>"}
    with replaying(
        browser, tmp_path, call, *({"format": "glm4", "raw": f"\nAnswer {n}.<|user|>"} for n in (1, 2, 3))
    ) as page:

        def press(*keys: str) -> None:
            ActionChains(browser).send_keys(*keys).perform()

        def reach(words: str) -> None:
            """Goes backwards from the field of the question to what has this name."""
            for _ in range(30):
                if browser.switch_to.active_element.accessible_name == words:
                    return
                ActionChains(browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
            raise AssertionError(words)

        page.set(ownTools='{"name": "by_hand"}')
        assert browser.switch_to.active_element.accessible_name == "Settings"
        page.one("#question").click()
        press("Call it.", Keys.ENTER)
        page.answered()
        reach("Answer this call yourself: text or JSON")
        press("done", Keys.TAB, Keys.ENTER)
        assert page.answered() == ["Call it.", "", "Answer 1."]
        assert browser.switch_to.active_element == page.one("#question")
        reach("Regenerate")
        press(Keys.ENTER)
        assert page.answered()[-1] == "Answer 2."
        assert browser.switch_to.active_element == page.one("#question")
        press(Keys.ARROW_UP, Keys.ESCAPE)
        assert browser.switch_to.active_element.accessible_name == "Edit"
        press(Keys.ENTER, " Again!", Keys.TAB, Keys.ENTER)
        assert page.answered() == ["Call it. Again!", "Answer 3."]
        assert browser.switch_to.active_element == page.one("#question")
        page.emulate("Emulation.setDeviceMetricsOverride", width=390, height=780, deviceScaleFactor=1, mobile=False)
        try:
            page.one("#menu").send_keys(Keys.ENTER)
            assert browser.switch_to.active_element.accessible_name == "New conversation"
            press(Keys.ESCAPE)
            assert browser.switch_to.active_element == page.one("#menu")
            press(Keys.ENTER, Keys.ENTER)
            assert page.answered() == []
            assert browser.switch_to.active_element == page.one("#menu")
        finally:
            page.emulate("Emulation.clearDeviceMetricsOverride")


def test_chinese(browser: Chrome, tmp_path: Path) -> None:
    agent = browser.execute_script("return navigator.userAgent")
    with replaying(browser, tmp_path, {"format": "glm4", "raw": "\n你好。<|user|>"}) as page:
        page.emulate("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="zh-CN,zh")
        try:
            page.open()
            assert page.one("html").get_attribute("lang") == "zh-CN"
            assert page.text("#send") == "发送"
            page.ask("你好")
            assert page.answered() == ["你好", "你好。"]
        finally:
            page.emulate("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="en")


def test_both_languages_say_the_same_things(page: ChatPage) -> None:
    tables = page.script(
        "const {EN} = await import('/web/js/words_en.js'), {ZH} = await import('/web/js/words_zh.js');"
        "const values = (text) => text.match(/{\\w+}/g)?.sort() ?? [];"
        "return [EN, ZH].map((table) => Object.entries(table).map(([key, text]) => [key, values(text)]))"
    )
    english, chinese = map(dict, tables)
    assert english == chinese


SUMS = {
    "1 + 2 * 3": 7,
    "-2 ^ 2": -4,
    "2 ^ 3 ^ 2": 512,
    "2 ** -1": 0.5,
    "(1 + 2) × 3 ÷ 2": 4.5,
    "7 % 4 - -1": 4,
    "max(1, sqrt(16), .5) + log(1e3)": 7,
    "cos(PI)": -1,
}
NO_SUMS = [
    "",
    "1 +",
    "(1",
    "1)",
    "1 / 0",
    "alert(1)",
    "1; 2",
    "constructor",
    "2 ^ 9999",
    "(" * 60 + "1",
    "1" * 1001,
    "max()",
]


def test_calculator(page: ChatPage) -> None:
    calculate = """
        const { calculate } = await import("/web/js/calculator.js");
        return given[0].map((text) => { try { return calculate(text) } catch (error) { return error.message } })
    """
    assert dict(zip(SUMS, page.script(calculate, list(SUMS)), strict=True)) == SUMS
    assert all(isinstance(fault, str) and fault for fault in page.script(calculate, NO_SUMS))
