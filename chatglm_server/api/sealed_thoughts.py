"""A thought as text that is opaque to clients, who send it back with the next request.

A server that keeps no responses has the thoughts of earlier turns from its clients only.
"""

from __future__ import annotations

import base64
import binascii

_OURS = b"chatglm-server:"


def sealed(thought: str) -> str:
    """`thought` in a form that only this module reads. It is not secret: the client has the text too."""
    return base64.b64encode(_OURS + thought.encode()).decode()


def unsealed(content: str) -> str | None:
    """The thought in `content`, or None if another server has written it."""
    try:
        text = base64.b64decode(content, validate=True)
        return text.removeprefix(_OURS).decode() if text.startswith(_OURS) else None
    except (binascii.Error, ValueError):
        return None
