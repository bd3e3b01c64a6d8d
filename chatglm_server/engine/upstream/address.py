"""The addresses of backends, as a user may write them."""

from __future__ import annotations

import re

import httpx

from ...errors import ModelFileError

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_COMMA = re.compile(r"\s*,\s*(?=https?://)", re.IGNORECASE)
"""Of several addresses. One address may have commas in its path."""


def upstream_addresses(text: str) -> list[str]:
    """Returns the addresses in `text`, each once, as `upstream_address` gives them. Raises: ModelFileError."""
    return list(dict.fromkeys(map(upstream_address, _COMMA.split(text))))


def upstream_address(text: str) -> str:
    """Returns `text` without a slash at its end, and with ``/v1`` if it has no path.

    Raises: ModelFileError. A key must not be in an address, because clients see it.
    """
    try:
        url = httpx.URL(text)
        valid_host = "%" not in url.host and bool(url.host.encode("idna"))
    except (httpx.InvalidURL, UnicodeError):
        valid_host = False
    if not valid_host or url.scheme not in ("http", "https") or not 1 <= (url.port or 80) <= 65535:
        raise ModelFileError("an address is http:// or https://, a host, perhaps a port, and a path such as /v1")
    if url.userinfo or url.query or url.fragment:
        raise ModelFileError("the address must not hold a user, a query or a fragment; a key is --upstream-api-key")
    path = url.path.rstrip("/") or "/v1"
    return str(url.copy_with(path=path))


def is_address_of(address: str, host: str, port: int) -> bool:
    """True if `address` reaches a server that listens on `host` and `port`, as far as the names tell."""
    url = httpx.URL(address)
    return (url.port or {"http": 80, "https": 443}[url.scheme]) == port and url.host in {host, *LOOPBACK}


def is_openais(address: str) -> bool:
    """True for OpenAI's own servers, also in Azure: their newer models refuse ``max_tokens``."""
    host = httpx.URL(address).host
    return host == "api.openai.com" or host.endswith(".openai.azure.com")
