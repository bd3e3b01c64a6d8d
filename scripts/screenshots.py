"""Writes the pictures of the pages in docs/images: the chat light, dark and on a phone, and the state of the server.

The chat's answers are recorded text that goes through the real server and page. The state is that of a server with
random weights that three clients keep busy for a minute. Needs Chromium and chromedriver.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
from chatglm_bin_writer import DType
from selenium.webdriver import Chrome

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # the page is driven as its tests drive it

from chatglm_server.settings import Settings  # noqa: E402
from tests.random_models import write_random_model  # noqa: E402
from tests.serving_here import serving  # noqa: E402
from tests.web.browser import ChatPage, chromium, replaying  # noqa: E402

FOLDER = ROOT / "docs" / "images"
CALL = """
<think>A calculator is at hand, so I need not multiply myself.</think>
<tool_call>calculator
<arg_key>expression</arg_key>
<arg_value>38 * 24 / 2</arg_value>
</tool_call><|observation|>"""
ANSWER = r"""
<think>456. They also asked for Python.</think>
With \(b = 38\) and \(h = 24\), the triangle has an area of **456 cm²**:
$$
A = \frac{b \cdot h}{2} = \frac{38\,\text{cm} \cdot 24\,\text{cm}}{2} = 456\,\text{cm}^2
$$
In Python:

```python
def area(base: float, height: float) -> float:
    return base * height / 2  # half of the rectangle

print(area(38, 24))
```

| base | height | area |
|-----:|-------:|-----:|
| 38 cm | 24 cm | 456 cm² |
| 76 cm | 24 cm | 912 cm² |
<|user|>"""
QUESTION = "What is the area of a triangle with base 38 cm and height 24 cm? Show it in Python too."


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    lines = [{"format": "glm45", "raw": raw, "chunk_size": 6, "delay_ms": 15} for raw in (CALL, ANSWER)]
    with tempfile.TemporaryDirectory() as name, chromium(Path(name)) as browser:
        with replaying(browser, Path(name), *lines, context_length=32768) as page:
            page.click("Settings")
            for tool in ("current_time", "calculator", "dice"):
                page.one(f"#tool-{tool}").click()
            page.click("Close", "#settings")
            page.ask(QUESTION)
            page.answered()
            page.wait(lambda: "0 running" in page.text("#strip"))
            for scheme in ("light", "dark"):
                page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
                write(page, f"chat-{scheme}.png")
            page.emulate("Emulation.setEmulatedMedia", features=[])
            page.emulate("Emulation.setDeviceMetricsOverride", width=390, height=780, deviceScaleFactor=1, mobile=True)
            write(page, "chat-phone.png")
            page.emulate("Emulation.clearDeviceMetricsOverride")
        model = str(
            write_random_model(Path(name) / "random.bin", dtype=DType.F16, hidden=512, layers=3, max_length=8192)
        )
        with serving(Settings(_env_file=None, model=model)) as (url, _):
            state(browser, url)


def state(browser: Chrome, url: str) -> None:
    """The page with the state of a server that is busy."""
    page = ChatPage(browser, url)
    browser.set_window_size(1200, 1150)
    browser.get(f"{url}/status")
    page.wait(lambda: "is ready" in page.text("#summary"))
    over = threading.Event()

    def ask(words: int, tokens: int) -> None:
        while not over.is_set():
            prompt = f"{time.time()} " + "word " * words
            httpx.post(f"{url}/v1/completions", json={"prompt": prompt, "max_tokens": tokens}, timeout=60)

    threads = [threading.Thread(target=ask, args=load) for load in ((900, 30), (20, 150), (20, 250))]
    for thread in threads:
        thread.start()
    over.wait(60)
    page.wait(lambda: " s left" in page.text("#prompts figcaption"))
    write(page, "status.png")
    over.set()
    for thread in threads:
        thread.join()


def write(page: ChatPage, name: str) -> None:
    page.browser.execute_script("document.activeElement.blur()")
    path = FOLDER / name
    page.browser.save_screenshot(str(path))
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
