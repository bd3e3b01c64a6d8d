"""Every option of the server: command line, environment (``CHATGLM_…``) and ``.env``, read in this one place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

FormatName = Literal["auto", "chatglm", "chatglm2", "chatglm3", "glm4", "glm-z1", "glm45", "glm47", "glm52"]

GLM_PROXY_NAMES = {
    "openai_base_url": "OPENAI_BASE_URL",
    "upstream_api_key": "OPENAI_API_KEY",
    "port": "PORT",
    "think_filter": "ENABLE_THINK_FILTER",
}
"""Environment names that glm-proxy had for its settings."""

EMBEDDING_ALIASES = (
    *("text-embedding-ada-002", "text-embedding-3-small"),
    *("text2vec-base-chinese", "text2vec-large-chinese", "text2vec-base-chinese-paraphrase"),
    *("text2vec-base-chinese-sentence", "text2vec-base-multilingual"),
    *("paraphrase-multilingual-MiniLM-L12-v2", "all-MiniLM-L12-v2"),
)
"""What OpenAI's clients ask for by default, and the names that GLM-API gave its models (its ``api.py``)."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Settings(BaseSettings):
    """Serve a chatglm.cpp model to OpenAI clients.

    Other commands, each with a --help of its own: "parse" reads model text, "render" writes prompts.
    """

    model_config = SettingsConfigDict(
        env_prefix="CHATGLM_",
        env_file=".env",
        extra="ignore",
        cli_prog_name="chatglm-server",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
    )

    model: str = Field(
        "demo",
        description='"demo", "demo-glm4", the path of a chatglm.cpp .bin file, replay:FILE.jsonl for recorded answers, '
        "or the http(s) address of another OpenAI-compatible server",
    )
    embedding_model: Path | None = Field(
        None, description="folder of an embedding model in the sentence-transformers layout"
    )
    embedding_alias: Annotated[list[str], NoDecode] = Field(
        list(EMBEDDING_ALIASES), description="further names that requests may give the embedding model"
    )
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    api_key: SecretStr | None = Field(
        None, description="key that clients must send; needed to listen beyond this machine"
    )
    alias: Annotated[list[str], NoDecode] = Field(
        ["gpt-3.5-turbo"], description="further names that requests may give the model"
    )
    chat_format: FormatName = Field(
        "auto", description="how prompts are written; auto: as the model file, or the model's name, says"
    )
    context_length: int | None = Field(None, ge=64, description="tokens of prompt and answer; default: the model's own")
    engine: Literal["auto", "native", "chatglm-cpp"] = Field(
        "auto", description="what computes a model file; auto: the native core where it can, else chatglm-cpp"
    )
    cpu: Literal["auto", "avx512", "avx2", "generic"] = Field(
        "auto", description="instructions that the native core uses; auto: the best this processor has"
    )
    threads: int | None = Field(None, ge=1, description="CPUs to compute on; default: all that this process may use")
    parallel: int = Field(4, ge=1, le=64, description="answers that the native core writes at the same time")
    kv_cache_mb: int = Field(
        4096, ge=0, description="memory for their keys and values, in MiB; at least one whole context is allowed"
    )
    openai_base_url: str | None = Field(
        None, description="address of such a server where --model is not given (environment: OPENAI_BASE_URL)"
    )
    upstream_api_key: SecretStr | None = Field(
        None, description="key that such a server is sent, and nobody else (environment: OPENAI_API_KEY)"
    )
    upstream_tools: Literal["native", "text"] = Field(
        "native", description="how it is told of tools: as OpenAI has them, or as text, if it knows none"
    )
    upstream_timeout_s: float = Field(600.0, gt=0, description="seconds that it may be silent")
    upstream_open_think: bool = Field(
        False, description="its text begins inside a thought, which nothing but </think> tells from the answer"
    )
    think_filter: bool = Field(
        False,
        description="take <think>…</think> out of its text for models that are not GLM, too "
        "(environment: ENABLE_THINK_FILTER)",
    )
    max_queue: int = Field(32, ge=0, description="requests that may wait while others are answered")
    max_body_mb: float = Field(8.0, gt=0, description="largest request body, in MB")
    request_timeout_s: float = Field(
        60.0, gt=0, description="seconds that a client may take to send a request's head, and as many for its body"
    )
    allowed_host: Annotated[list[str], NoDecode] = Field(
        [], description="further host names that the server may be addressed by"
    )
    allowed_origin: Annotated[list[str], NoDecode] = Field(
        [], description="origins of web pages that may call the server, besides pages on this machine"
    )
    keep_alive_s: float = Field(15.0, gt=0, description="seconds between comment lines in a silent stream")

    report_repairs: bool = Field(False, description="say on each tool call what was mended of it (x_repairs)")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """glm-proxy's names count after our own, and in the environment only: a ``.env`` may be another program's."""
        names = {field: os.environ[name] for field, name in GLM_PROXY_NAMES.items() if os.environ.get(name)}
        return init_settings, env_settings, InitSettingsSource(settings_cls, names), dotenv_settings

    @field_validator("alias", "embedding_alias", "allowed_host", "allowed_origin", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Lists may be given with commas, or by repeating the option."""
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list):
            return value
        return [part.strip() for item in values for part in str(item).split(",") if part.strip()]

    @field_validator("api_key", "upstream_api_key")
    @classmethod
    def _not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        """An empty key is no key: ``CHATGLM_API_KEY=`` must not open the server to the empty string."""
        return value if value and value.get_secret_value() else None

    @field_validator("upstream_api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value() if value else ""
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("a key has no blanks, line breaks or other characters that a header cannot hold")
        return value

    @model_validator(mode="after")
    def _guarded(self) -> Settings:
        if self.host not in _LOOPBACK and self.api_key is None:
            raise ValueError(
                f"--host {self.host} lets other machines in, which needs a key: add --api-key (or CHATGLM_API_KEY), "
                "or listen on 127.0.0.1"
            )
        return self


class ParseOptions(BaseSettings):
    """Read model output as the server does: JSON Lines from stdin to stdout.

    In: {"format", "raw", "tools", "prompt_ends_in_think", "finish_reason"}, all but the first two optional.
    Out: {"content", "reasoning_content", "tool_calls", "finish_reason", "repairs"}.
    """

    model_config = SettingsConfigDict(
        env_prefix="CHATGLM_PARSE_", cli_prog_name="chatglm-server parse", cli_kebab_case=True
    )

    chunk_size: int = Field(0, ge=0, description="characters that the text arrives in at a time; 0: all at once")


class RenderOptions(BaseSettings):
    """Write prompts as the server does: JSON Lines from stdin to stdout.

    In: {"format", "messages", "tools", "enable_thinking", "extra_kwargs", "add_generation_prompt"}, all but the first
    two optional; extra_kwargs may hold clear_thinking and reasoning_effort. Out: {"prompt"}.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_RENDER_", cli_prog_name="chatglm-server render")
