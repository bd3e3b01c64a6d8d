"""The commands of the command line, each with its options and the function that runs it: a line each in `COMMANDS`.

A command's function takes the command's options and returns the exit status. It is imported when the command is chosen.
It may raise BadOption and ModelFileError, which `main` prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from ..settings import Settings


@dataclass(frozen=True, slots=True)
class Command:
    """`run` is ``"module:function"`` in this folder. Options in `words` are given by place, without a name."""

    options: type[BaseSettings]
    run: str
    summary: str
    words: tuple[str, ...] = ()


class ParseOptions(BaseSettings):
    """Read model output as the server does: JSON Lines from stdin to stdout.

    In: {"format", "raw", "tools", "prompt_ends_in_think", "finish_reason"}; "format" and "raw" are required.
    Out: {"content", "reasoning_content", "tool_calls", "finish_reason", "repairs"}.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_PARSE_")

    chunk_size: int = Field(0, ge=0, description="Characters of text that arrive at a time. 0: all at once.")


class RenderOptions(BaseSettings):
    """Write prompts as the server does: JSON Lines from stdin to stdout.

    In: {"format", "messages", "tools", "enable_thinking", "extra_kwargs", "add_generation_prompt"}; "format" and
    "messages" are required; extra_kwargs may hold clear_thinking and reasoning_effort. Out: {"prompt"}.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_RENDER_")


class PullOptions(BaseSettings):
    """Download a model, check it, and say where it is. After a break, the same command continues the download."""

    model_config = SettingsConfigDict(env_prefix="CHATGLM_PULL_")

    model: str = Field(
        description="A short name such as glm-4-9b-0414 (chatglm-server list shows all), hf:OWNER/NAME for Hugging "
        "Face, ms:OWNER/NAME for ModelScope, each optionally with :QUANTIZATION or :FILE.gguf, the address of a "
        "model's page there, or the address of a .gguf file."
    )


class ListOptions(BaseSettings):
    """Show the models on this machine, including those of Ollama and LM Studio, by the names that --model takes.

    It also shows unfinished downloads: pull continues them, and rm deletes them.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_LIST_")


class RemoveOptions(BaseSettings):
    """Delete a model that came from a hub or an address, or an unfinished download."""

    model_config = SettingsConfigDict(env_prefix="CHATGLM_RM_")

    model: str = Field(description="Its name, as chatglm-server list shows it.")


class ShowOptions(BaseSettings):
    """Describe a model file: its network, weights, chat format, the memory it takes and the speed to expect here.

    The speed comes from a measurement of about a second on this machine.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_SHOW_")

    model: str = Field(description="What --model takes: demo, a name, or the path of a file.")
    kv_cache_type: Literal["auto", "f16", "q8"] = Field(
        "auto", description="Type of the keys and values. f16: 16 bits a number. q8: 8 bits. auto: f16."
    )


class ChatOptions(BaseSettings):
    """Talk with a model in the terminal: a model on this machine, or on a server.

    Piped text is appended to the prompt, and only the answer goes to stdout:
      git diff | chatglm-server chat -p "Review this"
    The server's options (--threads, --context-length, ...) come from CHATGLM_... and .env.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_CHAT_")

    model: str | None = Field(
        None,
        description="What the server's --model takes, or the http(s) address of any OpenAI-compatible server. Without "
        "it: the model that the server would serve.",
    )
    prompt: str | None = Field(None, description="Ask this, print the answer and exit.")
    system: str | None = Field(None, description="The system prompt.")
    tools: Path | None = Field(
        None, description="Python file whose functions the model may call. Each call runs only after you type y."
    )
    temperature: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="0 always takes the likeliest token; more gives more variety."
    )
    name: str | None = Field(None, description="Which of the models at the address to use. Without it: the first.")
    api_key: SecretStr | None = Field(
        None, description="Key for the address. Set by CHATGLM_CHAT_API_KEY, it is not in the list of processes."
    )


class CacheOptions(BaseSettings):
    """Show the long prompts that are kept on disk, or delete them: cache clear.

    A restarted server does not read these prompts again (--kv-disk-mb). The files contain what users wrote. Both work
    while servers run.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_CACHE_")

    action: Literal["list", "clear"] = Field("list", description="list or clear; without it: list.")


class ConvertOptions(BaseSettings):
    """Make a GGUF file from a Hugging Face folder or a chatglm.cpp .bin file.

    Folders of ChatGLM3, GLM-4-9B, GLM-4-0414, GLM-Z1, GLM-4.5-Air and GLM-4.7-Flash can be converted. Needs the extra
    [convert].
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_CONVERT_")

    model: Path = Field(description="Folder with config.json, the tokenizer and *.safetensors; or a .bin file.")
    out: Path = Field(description="File to write.")
    type: str | None = Field(
        None,
        description="Types of the weights: f32, f16, bf16, or quantized as q8_0, q6_k, q5_k_m, q4_k_m, q4_k_s, "
        "iq4_xs, q4_0, q3_k_m, q2_k and llama.cpp's other names. Without it: q4_k_m; a .bin file keeps its types.",
    )
    threads: int | None = Field(
        None, ge=1, description="CPUs to compute on. Without it: all that this process may use."
    )


class DoctorOptions(BaseSettings):
    """Check this machine, and say what speed to expect and what to change: instructions, memory, speed, disks, port,
    proxies, and what the environment and .env set.

    A measurement takes a second or two. The exit status is 1 if something will not work.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_DOCTOR_")

    as_json: bool = Field(False, description="Print one JSON object instead of tables.")


class SelftestOptions(BaseSettings):
    """Test an OpenAI-compatible server, and say which of the rules that clients rely on it keeps.

    Sends some forty requests: plain, streamed, with tools, with limits, and bad ones. The exit status is 1 if a rule
    is broken.
    """

    model_config = SettingsConfigDict(env_prefix="CHATGLM_SELFTEST_")

    url: str = Field(description="The server's address, such as http://127.0.0.1:8000 or https://host/v1.")
    model: str | None = Field(None, description="The model to ask. Without it: the first one that the server lists.")
    api_key: SecretStr | None = Field(
        None, description="Key for the server. Set by CHATGLM_SELFTEST_API_KEY, it is not in the list of processes."
    )
    timeout_s: float = Field(300.0, gt=0, allow_inf_nan=False, description="Maximum seconds for each whole answer.")
    as_json: bool = Field(False, description="Print one JSON object instead of a table.")


SERVE = "serve"
"""The command that needs no name."""

COMMANDS: dict[str, Command] = {
    SERVE: Command(Settings, "serve_command:run_server", "serves a model"),
    "chat": Command(ChatOptions, "chat.command:run_chat", "talks with a model in the terminal", ("model",)),
    "pull": Command(PullOptions, "model_commands:run_pull", "downloads a model", ("model",)),
    "list": Command(ListOptions, "model_commands:run_list", "shows the models on this machine"),
    "rm": Command(RemoveOptions, "model_commands:run_remove", "deletes a downloaded model", ("model",)),
    "show": Command(ShowOptions, "show_command:show", "describes a model file", ("model",)),
    "doctor": Command(DoctorOptions, "doctor.command:run_doctor", "checks this machine"),
    "selftest": Command(SelftestOptions, "selftest.command:run_selftest", "tests a server's answers", ("url",)),
    "cache": Command(CacheOptions, "cache_command:run_cache", "shows and deletes prompts on disk", ("action",)),
    "convert": Command(ConvertOptions, "convert_command:run_convert", "makes a GGUF file", ("model",)),
    "parse": Command(ParseOptions, "format_commands:parse", "parses text that a model wrote"),
    "render": Command(RenderOptions, "format_commands:render", "writes prompts"),
}
