"""Writes a request as the JSON body that OpenAI-compatible servers read.

Every noun of the request is written, and nothing that the client did not say. A test holds this for each field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...chat import (
    ChatRequest,
    ChoiceFormat,
    CompletionRequest,
    JsonObjectFormat,
    JsonSchemaFormat,
    JsonValue,
    Message,
    RegexFormat,
    ResponseFormat,
    TextFormat,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from ...sampling import NO_LIMIT, Sampling

Json = dict[str, Any]

SPELLINGS = {
    "max_tokens": ("max_tokens", "max_completion_tokens"),
    "thinking": (
        *("chat_template_kwargs", "enable_thinking", "reasoning", "reasoning_effort", "thinking"),
        *("thinking_budget", "thinking_budget_tokens"),
    ),
    "response_format": (
        *("response_format", "structured_outputs", "json_schema", "grammar", "regex", "ebnf"),
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar"),
    ),
    "continues": ("continue_final_message", "add_generation_prompt"),
    "background": ("service_tier", "priority"),
}
"""Nouns that clients spell in several ways. A spelling among a request's extras goes out in place of ours."""


def chat_body(request: ChatRequest) -> Json:
    """Returns the body for ``/chat/completions``; without `model` if the client named none."""
    body: Json = {"messages": [_message(message) for message in request.messages]}
    body |= _tools(request)
    body |= _unless_spelled("thinking", _thinking(request.thinking), request.extras)
    if request.continues is not None:
        ours = {"continue_final_message": request.continues, "add_generation_prompt": not request.continues}
        body |= _unless_spelled("continues", ours, request.extras)
    if request.prediction is not None:
        body["prediction"] = {"type": "content", "content": request.prediction}
    top = request.sampling.top_logprobs
    if top is not None:
        body |= {"logprobs": True} | ({"top_logprobs": top} if top else {})
    return body | _shared(request)


def with_older_limit(body: Json) -> Json:
    """Returns `body` with ``max_tokens`` in place of ``max_completion_tokens``, unless it has both.

    Every server knows the older name. Some, such as llama-cpp-python's, ignore the newer one, and a cloud refuses both
    at once.
    """
    if "max_completion_tokens" not in body or "max_tokens" in body:
        return body
    return {"max_tokens" if name == "max_completion_tokens" else name: value for name, value in body.items()}


def completion_body(request: CompletionRequest, prompt: str | Sequence[int]) -> Json:
    """Returns the body for ``/completions`` that asks for one of the request's prompts."""
    said = {
        "suffix": request.suffix,
        "echo": request.echo,
        "best_of": request.best_of,
        "logprobs": request.sampling.top_logprobs,
    }
    return {"prompt": prompt if isinstance(prompt, str) else list(prompt)} | _known(said) | _shared(request)


def _shared(request: ChatRequest | CompletionRequest) -> Json:
    """The fields of both endpoints: the model, sampling, the answer's format, the stream; the extras come last."""
    extras = request.extras
    body = _known({"model": request.model, "n": request.choices}) | _sampling(request.sampling, extras)
    if request.response_format is not None:
        body |= _unless_spelled("response_format", _response_format(request.response_format), extras)
    body |= _unless_spelled("background", {"service_tier": "flex"} if request.background else {}, extras)
    body |= extras
    if request.streamed:  # the log and our clients' usage chunks need the counts, which a stream lacks unless asked
        options = extras.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
        body["stream"] = True
    return body


def _sampling(sampling: Sampling, extras: Mapping[str, JsonValue]) -> Json:
    said = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logit_bias": None
        if sampling.logit_bias is None
        else {str(token): bias for token, bias in sampling.logit_bias},
        "seed": sampling.seed,
        "ignore_eos": sampling.ignore_eos,
        "stop": None if sampling.stop is None else list(sampling.stop),
        "stop_token_ids": None if sampling.stop_token_ids is None else list(sampling.stop_token_ids),
    }
    limit = {} if sampling.max_tokens in (None, NO_LIMIT) else {"max_tokens": sampling.max_tokens}
    return _known(said) | _unless_spelled("max_tokens", limit, extras)


def _thinking(thinking: Thinking) -> Json:
    """Switches are arguments of the chat template, as vLLM, SGLang and llama.cpp take them."""
    switches = _known({"enable_thinking": thinking.enabled, "clear_thinking": thinking.clear})
    body = _known({"reasoning_effort": thinking.effort, "thinking_budget": thinking.budget})
    return body | ({"chat_template_kwargs": switches} if switches else {})


def _response_format(response_format: ResponseFormat) -> Json:
    """OpenAI's field where it has the format, else vLLM's; ``grammar`` is llama.cpp's."""
    if isinstance(response_format, TextFormat):
        return {"response_format": {"type": "text"}}
    if isinstance(response_format, JsonObjectFormat):
        return {"response_format": {"type": "json_object"}}
    if isinstance(response_format, JsonSchemaFormat):
        schema = {
            "name": response_format.name or "answer",
            "description": response_format.description,
            "schema": response_format.schema,
            "strict": response_format.strict,
        }
        return {"response_format": {"type": "json_schema", "json_schema": _known(schema)}}
    if isinstance(response_format, RegexFormat):
        return {"structured_outputs": {"regex": response_format.pattern}}
    if isinstance(response_format, ChoiceFormat):
        return {"structured_outputs": {"choice": list(response_format.options)}}
    if response_format.syntax == "gbnf":
        return {"grammar": response_format.grammar}
    return {"structured_outputs": {"grammar": response_format.grammar}}


def _tools(request: ChatRequest) -> Json:
    """Only the allowed tools are written: few servers know OpenAI's ``allowed_tools``."""
    allowed = request.tool_choice.allowed
    tools: list[Any] = [_tool(tool) for tool in request.tools if allowed is None or tool.name in allowed]
    tools += request.foreign_tools
    said = {
        "tools": tools or None,
        "tool_choice": _tool_choice(request.tool_choice),
        "parallel_tool_calls": request.parallel_tool_calls,
    }
    return _known(said)


def _tool(tool: Tool) -> Json:
    return {"type": "function", "function": tool.function, **tool.extras}


def _tool_choice(choice: ToolChoice) -> Json | str | None:
    if choice.mode == "named":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _message(message: Message) -> Json:
    said = {
        "name": message.name,
        "reasoning_content": message.reasoning or None,
        "tool_calls": [*map(_call, message.tool_calls)] or None,
        "tool_call_id": message.tool_call_id,
    }
    content = list(message.parts) if message.parts else message.content
    return {"role": message.role, "content": content} | _known(said) | dict(message.extras)


def _call(call: ToolCall) -> Json:
    arguments = call.text or call.arguments
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _known(fields: Mapping[str, Any]) -> Json:
    """The fields that the client said: those that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def _unless_spelled(noun: str, fields: Json, extras: Mapping[str, JsonValue]) -> Json:
    """Our spelling of `noun`, unless the client's own is among the extras."""
    return {} if any(name in extras for name in SPELLINGS[noun]) else fields
