"""Every option of the server: command line, environment (``CHATGLM_…``) and ``.env``, read in this one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic.config import JsonDict
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .foreign_names import FOREIGN, ForeignNames, ForeignValue

EMBEDDING_ALIASES = (
    *("text-embedding-ada-002", "text-embedding-3-small"),
    *("text2vec-base-chinese", "text2vec-large-chinese", "text2vec-base-chinese-paraphrase"),
    *("text2vec-base-chinese-sentence", "text2vec-base-multilingual"),
    *("paraphrase-multilingual-MiniLM-L12-v2", "all-MiniLM-L12-v2"),
)
"""Names that OpenAI's clients send by default, and those that GLM-API gave its models (its ``api.py``)."""

REPEATED: JsonDict = {"repeated": True}
"""Marks an option that has one value, and may be repeated all the same."""
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Settings(BaseSettings):
    """Serve a GLM model to OpenAI clients."""

    model_config = SettingsConfigDict(
        env_prefix="CHATGLM_", env_file=".env", env_file_encoding="utf-8-sig", extra="ignore"
    )

    model: str = Field(
        "demo",
        description="Model to serve: demo, demo-glm4, a name such as glm-4-9b-0414 (chatglm-server list shows all), "
        "hf:OWNER/NAME for Hugging Face, ms:OWNER/NAME for ModelScope, the address of a model's page there, the path "
        "or address of a .gguf file, the path of a chatglm.cpp .bin file, replay:FILE.jsonl for recorded answers, or "
        "the http(s) address of another OpenAI-compatible server. Several servers with the same model can share the "
        "requests: repeat the option, or separate the addresses by commas.",
        json_schema_extra=REPEATED,
    )
    alias: Annotated[list[str], NoDecode] = Field(
        ["gpt-3.5-turbo", "default-model"],
        description="More names under which requests can ask for the model. Repeat the option, or separate the names "
        "by commas.",
    )
    chat_format: str = Field(
        "auto",
        description="Chat format, such as glm4, in which prompts are written and answers are parsed. auto: by the "
        "model file, or by the model's name.",
    )
    context_length: int | None = Field(
        None,
        ge=64,
        description="Maximum tokens of prompt and answer together. Without it: the model's own limit, or as many as "
        "fit in memory.",
    )
    tool_grammar: Literal["auto", "strict", "off"] = Field(
        "auto",
        description="Hold the tool calls of a model file to the tools' schemas while the model writes them. auto: as "
        "far as a grammar can. strict: completely, as with function.strict, or refuse the request. off: not at all.",
    )
    thinking_budget: int | None = Field(
        None,
        ge=0,
        description="Maximum tokens of a model file's thought, unless the request says otherwise. At the limit the "
        "server ends the thought, and the answer begins. Without it: no limit.",
    )
    report_repairs: bool = Field(
        False,
        description="Tell clients how a tool call was repaired, in the call's field x_repairs. The log always says it.",
    )

    host: str = Field(
        "127.0.0.1", description="Address to listen on. An address that other machines can reach needs a key."
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on. 0 picks a free one.")
    api_key: SecretStr | None = Field(
        None, description="Key that clients must send. Set by CHATGLM_API_KEY, it is not in the list of processes."
    )
    allowed_host: Annotated[list[str], NoDecode] = Field(
        [], description="More host names under which clients may reach the server. May be repeated."
    )
    allowed_origin: Annotated[list[str], NoDecode] = Field(
        [],
        description="Web pages that may call the server, besides pages of this machine: origins such as "
        "https://chat.example, or * for all. May be repeated.",
    )

    max_queue: int = Field(
        32, ge=0, description="Maximum number of waiting requests, beside those being answered. Any more get a 429."
    )
    max_wait_s: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Maximum seconds that a request waits for its first token. If the queue and its prompt would take "
        "longer, it gets a 429 at once, which says when to try again. The request's header X-Max-Wait-Seconds has "
        "priority. 0: no limit. In front of another server it has no effect.",
    )
    max_body_mb: float = Field(
        8.0,
        gt=0,
        le=1_000_000,
        description="Largest size of a request body, in MB, before and after decompression.",
    )
    request_timeout_s: float = Field(
        60.0, gt=0, description="Maximum seconds for sending a request's head, and the same again for its body."
    )
    keep_alive_s: float = Field(
        10.0, gt=0, description="Seconds between the signs of life that keep a stream open while a prompt is read."
    )
    record: Path | None = Field(
        None,
        description="File that keeps each answer that failed, or whose calls were repaired or given up, with its "
        "request. It contains what users wrote. parse and --model replay:FILE read it.",
    )
    metrics: bool = Field(
        True, description="Serve token counts, times and the queue at /metrics, in Prometheus' format."
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto",
        description="Format of the log on stderr. auto: coloured on a terminal, plain text elsewhere. text: always "
        "plain text. json: one object per line, also for the start lines.",
    )
    any_model: bool = Field(
        True,
        description="Accept any model name in Anthropic's API and OpenAI's Responses, because agents name their "
        "maker's models (claude-…, gpt-…). The log says so once.",
    )

    engine: str = Field(
        "auto",
        description="Engine that runs a model file: native, chatglm-cpp, or auto, which prefers the native core.",
    )
    cpu: Literal["auto", "avx512", "avxvnni", "avx2", "neon", "generic"] = Field(
        "auto", description="Instructions that the native core uses. auto: the best that this processor has."
    )
    threads: int | None = Field(
        None, ge=1, description="CPUs to compute on. Without it: all that this process may use."
    )
    threads_on_battery: int | None = Field(
        None,
        ge=1,
        description="CPUs for the native core while the machine runs on battery. Without it: as many as otherwise.",
    )
    parallel: int = Field(4, ge=1, le=64, description="Maximum number of answers that the native core writes at once.")
    kv_cache_mb: int = Field(
        4096,
        ge=0,
        description="Memory for keys and values, in MiB. If you do not set it, no more than fits beside the weights. "
        "One whole context is always allowed.",
    )
    kv_cache_type: Literal["auto", "f16", "q8"] = Field(
        "auto",
        description="Type of the keys and values in the native core. f16: 16 bits a number. q8: 8 bits, for half the "
        "memory and less exact answers; on processors with VNNI, long conversations are also faster. auto: f16.",
    )
    kv_disk_mb: int = Field(
        8192,
        ge=0,
        description="Disk space for keys and values, in MiB, so that a restarted server does not read long prompts "
        "again. The files contain what users wrote, and only this user may read them; chatglm-server cache shows and "
        "deletes them. 0: none.",
    )
    kv_disk_after_s: float = Field(
        2.0, ge=0, description="Keep a prompt on disk if reading it took at least so many seconds. 0: any prompt."
    )
    unload_after_s: float = Field(
        0,
        ge=0,
        description="Free the memory of a model file after so many seconds without a request. The next request loads "
        "the model again. 0: never.",
    )
    models_max: int = Field(
        1,
        ge=0,
        le=64,
        description="Maximum number of model files in memory. Requests can name any model that chatglm-server list "
        "shows and this server can run. The server then loads it, and the model used longest ago makes way. 0: only "
        "one model is served.",
    )
    speculation: Literal["auto", "off"] = Field(
        "auto",
        description="Guess the next tokens where an answer repeats the conversation or the server's latest answers, "
        "and check several at once in the native core. The answer is the same, only sooner. auto: where it pays. off: "
        "one token at a time.",
    )

    embedding_model: Path | None = Field(
        None,
        description="Folder of a model in the sentence-transformers layout, for embeddings and keywords.",
    )
    embedding_alias: Annotated[list[str], NoDecode] = Field(
        list(EMBEDDING_ALIASES),
        description="More names under which requests can ask for the embedding model. May be repeated.",
    )

    openai_base_url: str | None = Field(
        None, description="Address of another OpenAI-compatible server (the backend), used if --model is not given."
    )
    upstream_api_key: SecretStr | None = Field(
        None, description="Key that is sent to the backend, or to each of several, and to nobody else."
    )
    upstream_tools: Literal["native", "text"] = Field(
        "native",
        description="How the backend gets the tools. native: in OpenAI's fields. text: as text in the conversation, "
        "for backends that do not support tools.",
    )
    upstream_timeout_s: float = Field(600.0, gt=0, description="Maximum seconds that the backend may be silent.")
    upstream_open_think: bool = Field(
        False,
        description="The backend's text begins inside a thought, which only </think> separates from the answer.",
    )
    think_filter: bool = Field(
        False, description="Take <think>…</think> out of the backend's text also for models that are not GLM."
    )

    _foreign: list[ForeignValue] = PrivateAttr(default_factory=list)

    @property
    def foreign(self) -> list[ForeignValue]:
        """The values under the names of other programs that are not set under this server's own."""
        return self._foreign

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources, first the one that wins. Foreign names come last: they may be meant for another program."""
        assert isinstance(dotenv_settings, DotEnvSettingsSource)  # noqa: S101  # for its type
        foreign = ForeignNames(settings_cls, dotenv_settings.env_vars)
        return init_settings, env_settings, dotenv_settings, foreign

    @model_validator(mode="wrap")
    @classmethod
    def _remember_foreign(cls, values: Any, build: ModelWrapValidatorHandler[Settings]) -> Settings:
        """Keeps the foreign values; an error in one names it as its user knows it. Raises: ValueError."""
        foreign: list[ForeignValue] = values.get(FOREIGN, []) if isinstance(values, Mapping) else []
        try:
            settings = build(values)
        except ValidationError as error:
            used = {value.option: value for value in foreign if value.used}
            for problem in error.errors():
                if problem["loc"] and (value := used.get(str(problem["loc"][0]))):
                    raise ValueError(f"{value.name} in {value.place}: {problem['msg']}") from None
            raise
        settings._foreign = foreign
        return settings

    @field_validator("model", mode="before")
    @classmethod
    def _joined(cls, value: object) -> object:
        """The option may be repeated for the addresses of several servers: they are joined by commas."""
        if not isinstance(value, list):
            return value
        if len(value) > 1 and not all(str(item).lower().startswith(("http://", "https://")) for item in value):
            raise ValueError(
                "only addresses of servers may be given several times; requests load other models by their names, see "
                "--models-max"
            )
        return ",".join(map(str, value))

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
        """Takes an empty key as none: ``CHATGLM_API_KEY=`` must not open the server to the empty string."""
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


GROUPS: dict[str, tuple[str, ...]] = {
    "Model": ("model", "alias", "chat_format", "context_length", "tool_grammar", "thinking_budget", "report_repairs"),
    "Address and access": ("host", "port", "api_key", "allowed_host", "allowed_origin"),
    "Requests": (
        *("max_queue", "max_wait_s", "max_body_mb", "request_timeout_s"),
        *("keep_alive_s", "record", "metrics", "log_format", "any_model"),
    ),
    "Computing": (
        *("engine", "cpu", "threads", "threads_on_battery", "parallel", "kv_cache_mb", "kv_cache_type"),
        *("kv_disk_mb", "kv_disk_after_s", "unload_after_s", "models_max", "speculation"),
    ),
    "Embeddings": ("embedding_model", "embedding_alias"),
    "In front of another server": (
        *("openai_base_url", "upstream_api_key", "upstream_tools"),
        *("upstream_timeout_s", "upstream_open_think", "think_filter"),
    ),
}
"""Every option of `Settings` by its subject, in the order in which people read of them."""
