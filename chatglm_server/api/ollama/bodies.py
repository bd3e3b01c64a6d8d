"""Ollama's request bodies, and their way into the nouns of chat.py."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SkipValidation

from ...chat import ChatRequest, CompletionRequest, Message, Thinking
from ...engine.base import ModelInfo
from ...engine.capabilities import Capability
from ...errors import InvalidRequest, UnsupportedParameter
from ...model_names import untagged
from ...sampling import MAX_TOP_LOGPROBS
from ..openai.conversation import MAX_MESSAGES
from ..openai.parameters import Body, Strings, log_ignored
from ..openai.thinking import Effort
from ..openai.tools import ToolBody, read_tools
from .conversation import MessageBody, check_no_images, read_conversation
from .options import Options, read_format, read_keep_alive, read_thinking

_FIELDS = {
    "sampling.max_tokens": "options.num_predict",
    "sampling.repetition_penalty": "options.repeat_penalty",
    "sampling.top_logprobs": "logprobs",
    "thinking.enabled": "think",
    "thinking.effort": "think",
    "continues": "messages",
    "prompts": "prompt",
}
"""Noun → field, if the two differ by more than a prefix."""


class NamedBody(Body):
    """A body that names a model; `name` is the older spelling."""

    model: str | None = Field(
        None, description="the served model or another of GET /api/tags, with ``:latest`` or without"
    )
    name: str | None = None

    @property
    def asked(self) -> str | None:
        """The model's name as the client sent it; "" is none."""
        return self.model or self.name or None


class _GenerationBody(NamedBody):
    """The fields that chats and prompts share."""

    stream: bool | None = None
    options: Options | None = None
    format: Annotated[str | dict[str, Any] | None, SkipValidation] = Field(None, description='"json" or a JSON schema')
    think: Annotated[bool | Effort | None, SkipValidation] = Field(None, description="whether to think first, or how")
    keep_alive: Annotated[str | float | None, SkipValidation] = Field(
        None, description='how long the model stays in memory: seconds, or a text such as "5m"; less than 0: always'
    )
    logprobs: bool | None = Field(None, description="say how likely each token of the answer was")
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS, description="and what else was likely there")
    truncate: Any = None
    shift: Any = None

    @property
    def streamed(self) -> bool:
        """True unless the client says otherwise."""
        return self.stream is not False

    @property
    def shows_thoughts(self) -> bool:
        """False if thoughts are left out of the answer."""
        return self.think is not False

    @property
    def keep_alive_s(self) -> float | None:
        """Seconds that the model stays in memory; None if the client does not say. Raises: InvalidRequest."""
        return read_keep_alive(self.keep_alive)

    def field_of(self, noun: str) -> str:
        """The field of this body that says `noun`."""
        head, _, rest = noun.partition(".")
        if head == "response_format":
            return "format"
        return _FIELDS.get(noun, f"options.{rest}" if head == "sampling" else noun)

    def _model(self, info: ModelInfo) -> str | None:
        """The name by which the engine knows the model. Another server has names of its own."""
        if self.asked is None:
            return None
        return untagged(self.asked) if Capability.ANY_MODEL in info.capabilities else info.id

    def _thinking(self, info: ModelInfo) -> Thinking:
        if self.think is True and not info.thinks and Capability.ANY_MODEL not in info.capabilities:
            raise _unable(info, "thinking", "think")
        return read_thinking(self.think)

    def _shared(self, info: ModelInfo) -> dict[str, Any]:
        """The nouns that both kinds of request have."""
        log_ignored(self.model_extra or ())
        options = self.options or Options()
        options.note_context(info.context_length)
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest('top_logprobs needs "logprobs": true', param="top_logprobs")
        return {
            "sampling": options.sampling((self.top_logprobs or 0) if self.logprobs else None),
            "response_format": read_format(self.format),
            "model": self._model(info),
            "keep_alive_s": self.keep_alive_s,
            "streamed": self.streamed,
        }


def _unable(info: ModelInfo, what: str, field: str) -> UnsupportedParameter:
    """In Ollama's words: there are clients that read them, and ask again without."""
    return UnsupportedParameter(f"{info.id!r} does not support {what}; leave {field} out", param=field)


class ChatBody(_GenerationBody):
    """``POST /api/chat``. Without messages it only loads the model."""

    messages: Annotated[list[MessageBody], Field(fail_fast=True, max_length=MAX_MESSAGES)] | None = None
    tools: Annotated[list[ToolBody] | None, SkipValidation] = None

    def to_request(self, info: ModelInfo) -> ChatRequest:
        """The nouns, for the model of `info`. Raises: InvalidRequest."""
        messages = read_conversation(self.messages or ())
        tools = read_tools(self.tools, foreign=False).functions
        if tools and not info.supports_tools:
            raise _unable(info, "tools", "tools")
        return ChatRequest(
            messages=messages,
            tools=tools,
            thinking=self._thinking(info),
            continues=True if messages[-1].role == "assistant" else None,
            **self._shared(info),
        )


class GenerateBody(_GenerationBody):
    """``POST /api/generate``. Without a prompt it only loads the model. `raw`: the prompt has no roles."""

    prompt: str | None = None
    system: str | None = None
    suffix: str | None = Field(None, description="the text after the gap to be filled")
    raw: bool | None = None
    images: list[Any] | None = None
    template: Any = None
    context: Any = None

    def to_request(self, info: ModelInfo) -> ChatRequest | CompletionRequest:
        """The nouns, for the model of `info`. Raises: InvalidRequest."""
        check_no_images(self.images, "images")
        prompt = self.prompt or ""
        if self.raw or self.suffix:
            return CompletionRequest((prompt,), suffix=self.suffix or None, **self._shared(info))
        system = (Message("system", self.system),) if self.system else ()
        thinking = self._thinking(info)
        return ChatRequest((*system, Message("user", prompt)), thinking=thinking, **self._shared(info))


class EmbedBody(NamedBody):
    """``POST /api/embed``."""

    input: str | Strings = ""
    truncate: bool | None = Field(True, description="read of a text that is too long what fits; false: an error")
    dimensions: int | None = Field(None, ge=1, description="how many numbers of each vector to keep")


class EmbeddingsBody(NamedBody):
    """``POST /api/embeddings``, the older one."""

    prompt: str = ""
