"""The answer of the Responses API, whole and in the events of streams, for ``/openapi.json``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel

from ..answer_model import AnswerModel
from ..openai.schemas import SampledTokenObject


class InputDetails(BaseModel):
    """Of the prompt's tokens, how many were in the KV cache."""

    cached_tokens: int
    cache_write_tokens: int


class OutputDetails(BaseModel):
    """Of the answer's tokens, how many are thoughts."""

    reasoning_tokens: int


class ResponseUsage(BaseModel):
    """Token counts of a request."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseFault(BaseModel):
    """Why a response failed."""

    code: str
    message: str


class OutputText(AnswerModel):
    """Text for the user."""

    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]]
    logprobs: list[SampledTokenObject]


class ReasoningText(AnswerModel):
    """A thought."""

    type: Literal["reasoning_text"]
    text: str


class SummaryText(AnswerModel):
    """A thought, whole, to a client that asked for summaries."""

    type: Literal["summary_text"]
    text: str


Status = Literal["in_progress", "completed", "incomplete"]


class AnsweredMessage(AnswerModel):
    """Text for the user. `content` is empty while the message is generated."""

    type: Literal["message"]
    id: str
    status: Status
    role: Literal["assistant"]
    content: list[OutputText]


class AnsweredReasoning(AnswerModel):
    """A thought: in `content`, or in `summary` if the client asked for summaries."""

    type: Literal["reasoning"]
    id: str
    summary: list[SummaryText]
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Status


class AnsweredCall(AnswerModel):
    """A call of a function; `arguments` is JSON text."""

    type: Literal["function_call"]
    id: str
    call_id: str
    name: str
    namespace: str | None = None
    arguments: str
    status: Status


class AnsweredCustomCall(AnswerModel):
    """A call of a custom tool; `input` is text."""

    type: Literal["custom_tool_call"]
    id: str
    call_id: str
    name: str
    namespace: str | None = None
    input: str
    status: Status


OutputItem = Annotated[
    AnsweredMessage | AnsweredReasoning | AnsweredCall | AnsweredCustomCall, Field(discriminator="type")
]


class ResponseObject(AnswerModel):
    """A response. `output` holds items: thoughts, messages and calls. Many fields repeat the request's."""

    id: str
    object: str
    created_at: int
    completed_at: int | None
    status: str
    model: str
    output: list[OutputItem]
    usage: ResponseUsage | None
    error: ResponseFault | None
    incomplete_details: dict[str, str] | None
    background: bool
    frequency_penalty: float
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    presence_penalty: float
    previous_response_id: None
    prompt_cache_key: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: str
    user: str | None


class _Event(AnswerModel):
    sequence_number: int


class ResponseStage(_Event):
    """The whole response so far: at its beginning, as a sign of life, and at its end, with its usage."""

    type: Literal[
        "response.created", "response.in_progress", "response.completed", "response.incomplete", "response.failed"
    ]
    response: ResponseObject


class _ItemEvent(_Event):
    output_index: int


class ItemStage(_ItemEvent):
    """An item is begun, or whole."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    item: OutputItem


class _PartEvent(_ItemEvent):
    item_id: str


class ContentPartStage(_PartEvent):
    """The part of a message or thought is begun, or whole."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    content_index: int
    part: Annotated[OutputText | ReasoningText, Field(discriminator="type")]


class SummaryPartStage(_PartEvent):
    """The part of a summary is begun, or whole."""

    type: Literal["response.reasoning_summary_part.added", "response.reasoning_summary_part.done"]
    summary_index: int
    part: SummaryText


class TextDelta(_PartEvent):
    """More of a message's text."""

    type: Literal["response.output_text.delta"]
    content_index: int
    delta: str
    logprobs: list[SampledTokenObject]


class TextDone(_PartEvent):
    """A message's text, whole."""

    type: Literal["response.output_text.done"]
    content_index: int
    text: str
    logprobs: list[SampledTokenObject]


class ReasoningDelta(_PartEvent):
    """More of a thought."""

    type: Literal["response.reasoning_text.delta"]
    content_index: int
    delta: str


class ReasoningDone(_PartEvent):
    """A thought, whole."""

    type: Literal["response.reasoning_text.done"]
    content_index: int
    text: str


class SummaryDelta(_PartEvent):
    """More of a summary."""

    type: Literal["response.reasoning_summary_text.delta"]
    summary_index: int
    delta: str


class SummaryDone(_PartEvent):
    """A summary, whole."""

    type: Literal["response.reasoning_summary_text.done"]
    summary_index: int
    text: str


class InputDelta(_PartEvent):
    """More of a call's arguments (JSON text) or of a custom call's input (text)."""

    type: Literal["response.function_call_arguments.delta", "response.custom_tool_call_input.delta"]
    delta: str


class ArgumentsDone(_PartEvent):
    """A call's arguments, whole."""

    type: Literal["response.function_call_arguments.done"]
    arguments: str
    name: str


class InputDone(_PartEvent):
    """A custom call's input, whole."""

    type: Literal["response.custom_tool_call_input.done"]
    input: str


_Any = (
    ResponseStage
    | ItemStage
    | ContentPartStage
    | SummaryPartStage
    | TextDelta
    | TextDone
    | ReasoningDelta
    | ReasoningDone
    | SummaryDelta
    | SummaryDone
    | InputDelta
    | ArgumentsDone
    | InputDone
)


class ResponseEvent(RootModel[Annotated[_Any, Field(discriminator="type")]]):
    """An event of a stream; its name is its `type`. The word ``[DONE]`` comes last."""
