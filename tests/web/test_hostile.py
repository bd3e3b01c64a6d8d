"""A model's answer may hold anything: on the page it does nothing."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver import Chrome

from tests.web.browser import replaying

HOSTILE = """
# Title <script>document.title = "owned"</script>

<script>window.owned = 1</script> <img src=x onerror="window.owned = 1"> <svg onload="window.owned = 1">
<iframe src="javascript:parent.owned = 1"></iframe> <style>body { display: none }</style>
<a href="javascript:window.owned = 1" id="menu">raw</a> <form action="http://elsewhere.example/"><button>go</button></form>

[script](javascript:window.owned=1) [coded](java&#115;cript:window.owned=1) [data](data:text/html,<script>1</script>)
[here](/v1/models) [good](https://good.example/page) ![image](http://elsewhere.example/x.png "t")
![data](data:image/svg+xml;base64,PHN2Zz4=) [![inside](http://elsewhere.example/y.png)](https://good.example/link)

| a | b |
|--:|---|
| <b onclick=alert(1)>1</b> | 2 |

```python onmouseover=alert(1)
def f(): return "<script>window.owned = 1</script>"
```

```"><script>window.owned=1</script>
text
```

\\(\\text{<img src=x onerror="window.owned = 1">}\\) $\\href{javascript:window.owned=1}{x}$ \\(x\\hspace{-90em}y\\)

\\[
\\text{</mtext><script>window.owned = 1</script>} \\color{red" onclick="window.owned=1}{x}
\\]
"""


def test_a_hostile_answer_does_nothing(browser: Chrome, tmp_path: Path) -> None:
    with replaying(browser, tmp_path, {"format": "glm4", "raw": f"\n{HOSTILE}<|user|>", "chunk_size": 7}) as page:
        browser.get_log("browser")  # type: ignore[no-untyped-call]
        page.ask("<img src=x onerror='window.owned = 1'>")
        page.answered()
        for link in page.all(".rendered a"):
            assert link.get_attribute("rel") == "noopener nofollow noreferrer"
            assert link.get_attribute("target") == "_blank"
        targets = [link.get_dom_attribute("href") for link in page.all(".rendered a[href]")]
        assert targets == ["https://good.example/page", "http://elsewhere.example/x.png", "https://good.example/link"]
        assert page.all(".rendered script, .rendered img, .rendered svg, .rendered iframe, .rendered style") == []
        assert page.all(".rendered form, .rendered [id], .rendered [style], .rendered [onclick]") == []
        assert page.text(".rendered h1").startswith("Title <script>")
        assert page.text(".rendered math mtext").startswith("<img src=x onerror=")
        left, *_, right = [letter.location["x"] for letter in page.all(".rendered math mi")]
        assert left <= right, "a formula reaches out of its place"
        assert "right" in (page.one(".rendered td").get_attribute("class") or "")
        assert [element.text for element in page.all(".rendered .k")] == ["def", "return"]
        assert browser.execute_script("return window.owned") is None
        assert browser.title == "chatglm-server: chat"
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(({name}) => name)")
        assert {name.partition("//")[2].partition("/")[0] for name in loaded} == {page.url.partition("//")[2]}
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []  # type: ignore[no-untyped-call]


def test_the_policy_holds_where_html_gets_into_the_page(browser: Chrome, tmp_path: Path) -> None:
    with replaying(browser, tmp_path, {"raw": "x"}) as page:
        page.browser.execute_script(
            'document.body.insertAdjacentHTML(\'beforeend\', \'<img src="/health" onerror="window.owned = 1">'
            '<img src="http://127.0.0.1:9/x.png">\')'
        )
        page.wait(lambda: "Content Security Policy" in str(browser.get_log("browser")))  # type: ignore[no-untyped-call]
        assert browser.execute_script("return window.owned") is None
