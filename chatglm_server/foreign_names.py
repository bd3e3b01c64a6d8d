"""Settings under the names that the programs this server replaces gave them, in the environment and in ``.env``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

FOREIGN_NAMES = {
    "openai_base_url": "OPENAI_BASE_URL",
    "upstream_api_key": "OPENAI_API_KEY",
    "port": "PORT",
    "think_filter": "ENABLE_THINK_FILTER",
    "model": "MODEL",
    "threads": "NUM_THREADS",
}
"""The option that each name sets. The first four are glm-proxy's, the others those of chatglm.cpp's openai_api.py."""

FOREIGN = "foreign"
"""The key of the source's `ForeignValue` list among the values of the options."""


@dataclass(frozen=True, slots=True)
class ForeignValue:
    """A value that was found under a foreign name; `used` is false if it cannot be meant for this server."""

    option: str
    name: str
    place: str
    used: bool = True


class ForeignNames(PydanticBaseSettingsSource):
    """Values of options that nobody set under their own names; the environment counts before ``.env``."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._places: list[tuple[str, Mapping[str, str | None]]] = [("the environment", os.environ), (".env", dotenv)]

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One field's value; pydantic-settings asks for this method, `__call__` does the work."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values by option, and under `FOREIGN` where each came from."""
        values: dict[str, Any] = {}
        found: list[ForeignValue] = []
        for option, name in FOREIGN_NAMES.items():
            if option in self.current_state:
                continue
            for place, variables in self._places:
                value = variables.get(name) or variables.get(name.lower())  # pydantic-settings lowers names of .env
                if not value or (option == "threads" and value.strip() == "0"):  # 0 was openai_api.py's default
                    continue
                used = option != "model" or Path(value).expanduser().is_file()
                found.append(ForeignValue(option, name, place, used))
                if used:
                    values[option] = value
                    break
        return {**values, FOREIGN: found}
