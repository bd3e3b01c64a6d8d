"""The HTTP client of downloads; it goes through the proxy that the environment names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import ModelFileError

if TYPE_CHECKING:
    import httpx


def http_client(timeout_s: float, headers: Mapping[str, str] | None = None) -> httpx.Client:
    """Raises: ModelFileError for a proxy that cannot be used, such as ``ALL_PROXY=socks4://…``."""
    import httpx

    try:
        return httpx.Client(timeout=timeout_s, follow_redirects=True, headers=dict(headers or {}))
    except ImportError:
        raise ModelFileError("the environment names a SOCKS proxy: pip install socksio") from None
    except (ValueError, httpx.InvalidURL) as error:
        raise ModelFileError(f"the proxy in ALL_PROXY, HTTPS_PROXY or HTTP_PROXY: {error}") from None
