"""Paths as people type them into their clients, HEAD, and the pages for a browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import httpx
import pytest

from chatglm_server.api.http.paths import canonical_path
from tests.conftest import MINILM
from tests.serving import RunningServer, user

CHAT = {"messages": user("Hello!"), "max_tokens": 1}
COMPLETION = {"prompt": "Hello", "max_tokens": 1}
EMBEDDING = {"input": "Hello"}


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/chat/completions", CHAT, "chat.completion"),
        ("/v1/chat/completions/", CHAT, "chat.completion"),
        ("//v1/chat/completions", CHAT, "chat.completion"),
        ("///v1//chat/completions//", CHAT, "chat.completion"),
        ("/v1/v1/chat/completions", CHAT, "chat.completion"),
        ("/v1//v1/chat/completions", CHAT, "chat.completion"),
        ("/chat/completions", CHAT, "chat.completion"),
        ("/chat/completions/", CHAT, "chat.completion"),
        ("/v1/completions/", COMPLETION, "text_completion"),
        ("/completions", COMPLETION, "text_completion"),
        ("//completions", COMPLETION, "text_completion"),
    ],
)
def test_typed_by_hand(server: RunningServer, path: str, body: dict[str, object], kind: str) -> None:
    answer = server.post(path, json=body)
    assert (answer.status_code, answer.json()["object"]) == (200, kind)


@pytest.mark.parametrize("path", ["/v1/embeddings/", "/embeddings", "/v1/v1/embeddings"])
def test_embeddings_typed_by_hand(embedding_server: RunningServer, path: str) -> None:
    answer = embedding_server.post(path, json=EMBEDDING | {"model": MINILM.name})
    assert (answer.status_code, answer.json()["object"]) == (200, "list"), answer.text


def test_models_of_both_apis(server: RunningServer) -> None:
    """``/models`` is GLM-API's own route; all other spellings are OpenAI's."""
    openai = httpx.get(f"{server.url}/v1/models").json()
    assert httpx.get(f"{server.url}/v1/models/").json() == openai
    assert httpx.get(f"{server.url}//v1/v1/models").json() == openai
    assert httpx.get(f"{server.url}//v1/models/demo").json() == openai["data"][0]
    glm = httpx.get(f"{server.url}/models")
    assert (glm.status_code, glm.json() == openai) == (200, False)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/docs", "/health", "/models", "/chat", "/tokenize", "/embedding", "/keyword", "/openapi.json"),
        *("/v1/models", "/v1/chat/completions", "/v1/models/http://127.0.0.1:1234/v1", "/v1/models/a//b/"),
        *("/v11/models", "/nope", "/chat/completions/x", "/v2/chat/completions", "*"),
    ],
)
def test_real_paths_stay(path: str) -> None:
    assert canonical_path(path) == path


@pytest.mark.parametrize(
    "path", ["/chat/completion", "/v1/v2/chat/completions", "/v1/chat", "/api/v1/models", "/v1/v1"]
)
def test_other_paths_are_not_guessed(server: RunningServer, path: str) -> None:
    error = server.post(path, json=CHAT).json()["error"]
    assert error["code"] in ("not_found", "method_not_allowed")


@pytest.mark.parametrize("path", ["/health", "/models", "/v1/models", "/v1/models/demo", "/", "/docs", "/openapi.json"])
def test_head_is_get_without_the_body(server: RunningServer, path: str) -> None:
    with httpx.Client() as client:
        for _ in range(2):  # over one connection: a body would be read as the next answer
            head = client.head(server.url + path)
            assert (head.status_code, head.content) == (200, b"")
        get = client.get(server.url + path)
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/health":  # its figures change
        assert head.headers["content-length"] == get.headers["content-length"]


def test_head_of_no_get_route(server: RunningServer) -> None:
    assert httpx.head(f"{server.url}/v1/chat/completions").status_code == 405
    assert httpx.head(f"{server.url}/nope").status_code == 404


class Links(HTMLParser):
    """All addresses that a page names, and its script elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/"])
def test_start_page(server: RunningServer, path: str) -> None:
    page = httpx.get(server.url + path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "chatglm-server" in page.text
    links = Links(page.text)
    assert {"/docs", "/openapi.json", "/status"} <= set(links.addresses)
    for address in links.addresses:
        assert address == "data:," or httpx.get(server.url + address).status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy


def test_a_browser_keeps_the_files_of_a_page_until_they_change(server: RunningServer) -> None:
    url = f"{server.url}/web/js/main.js"
    script = httpx.get(url)
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert (script.headers["cache-control"], script.headers["x-content-type-options"]) == ("no-cache", "nosniff")
    again = httpx.get(url, headers={"If-None-Match": f'"other", {script.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.get(url, headers={"If-None-Match": '"other"'}).content == script.content
    for path in ("/web", "/web/", "/web/nope.js", "/web/../app.py", "/web/%2e%2e/app.py", "/web/js"):
        assert httpx.get(server.url + path).status_code == 404, path


def test_reference_works_without_the_internet(server: RunningServer) -> None:
    page = httpx.get(f"{server.url}/docs")
    links = Links(page.text)
    assert links.scripts == 2
    for address in links.addresses:
        assert address == "data:," or (address.startswith("/") and not address.startswith("//"))
        assert address == "data:," or httpx.get(server.url + address).status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    (start,) = (address for address in links.addresses if address.endswith("start.js"))
    script = httpx.get(server.url + start).text
    assert "validatorUrl: null" in script  # else Swagger UI asks a server on the internet
    (schema,) = re.findall(r'url: "(.*?)"', script)
    assert json.loads(httpx.get(server.url + schema).text)["paths"]["/v1/chat/completions"]


def test_pages_need_no_key() -> None:
    """They show the API and a model's name, as /health does. All else needs the key, however it is typed."""
    with RunningServer("--api-key", "a key") as server:
        for path in (
            "/",
            "/v1",
            "/docs",
            "/openapi.json",
            "/docs/swagger-ui.css",
            "/docs/swagger-ui-bundle.js",
            "/web/js/main.js",
        ):
            assert httpx.get(server.url + path).status_code == 200, path
        for path in ("/v1/models", "//v1/models", "/v1/models/", "/models", "/docs/../v1/models", "/v1//models"):
            assert httpx.get(server.url + path).status_code == 401, path
        assert httpx.head(f"{server.url}/v1/models").status_code == 401
        for path in ("/chat/completions", "/v1/v1/chat/completions", "/v1/chat/completions/"):
            assert server.post(path, json=CHAT).status_code == 401
        schemes = httpx.get(f"{server.url}/openapi.json").json()["components"]["securitySchemes"]
        assert [(scheme["type"], scheme["scheme"]) for scheme in schemes.values()] == [("http", "bearer")]
