#!/usr/bin/env python3
"""Writes the tables of docs/settings.md from the settings class.

python scripts/settings_page.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from chatglm_server.foreign_names import FOREIGN_NAMES  # noqa: E402
from chatglm_server.settings import GROUPS, Settings  # noqa: E402

PAGE = ROOT / "docs" / "settings.md"


def page(text: str) -> str:
    """`text` with the present tables between ``<!-- NAME -->`` and ``<!-- end of NAME -->``."""
    for name, table in (("options", _options()), ("foreign names", _foreign_names())):
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        pattern = re.compile(re.escape(begin) + ".*" + re.escape(end), re.DOTALL)
        text, count = pattern.subn(lambda _: f"{begin}\n{table}{end}", text)  # noqa: B023  # called at once
        assert count == 1, f"{PAGE} has no place for the {name}"
    return text


def _options() -> str:
    parts = []
    for title, names in GROUPS.items():
        rows = ["| option | default | environment | |", "|---|---|---|---|"]
        rows += [_row(name, Settings.model_fields[name]) for name in names]
        parts.append(f"### {title}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    option = f"`--{name.replace('_', '-')}`"
    variable = f"`{Settings.model_config['env_prefix']}{name.upper()}`"
    text = " ".join(filter(None, (field.description, _values(field))))
    return "| " + " | ".join((option, _default(field.get_default()), variable, _escape(text))) + " |"


def _escape(text: str) -> str:
    """`text` for a cell of a table: characters that Markdown would read are spelled out."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _default(value: Any) -> str:
    """Lists as the user writes them; a dash if the option is not set."""
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return "<br>".join(f"`{item}`" for item in value)
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _values(field: FieldInfo) -> str:
    """The values that the option takes, if they are few."""
    if get_origin(field.annotation) is not Literal:
        return ""
    return "One of " + ", ".join(f"`{value}`" for value in get_args(field.annotation)) + "."


def _foreign_names() -> str:
    rows = ["| name | sets |", "|---|---|"]
    rows += [f"| `{name}` | `--{option.replace('_', '-')}` |" for option, name in FOREIGN_NAMES.items()]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
