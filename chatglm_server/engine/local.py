"""The engine that runs a model itself: renders and encodes prompts, and lets the scheduler answer them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Literal, TypeGuard

from ..chat import AnswerEvent, ChatRequest, CompletionRequest, Event, ResponseFormat, TextFormat, Thinking
from ..decoding.constraints.base import Constraint
from ..decoding.constraints.grammars import Grammar, Grammars
from ..decoding.drafting.prompt_lookup import MOST_TOKENS_KNOWN
from ..decoding.runner import Runner
from ..decoding.scheduler import Scheduler
from ..decoding.sequence import AnswerSequence
from ..errors import InvalidRequest, NotReady
from ..formats.base import ChatFormat, Prompt
from ..model_files.tokenizer import Tokenizer, encode_prompt
from ..queueing.status import Status
from ..sampling import NO_LIMIT, SamplingParams
from .answer_grammar import EMPTY_LEAD, NOUN, AnswerGrammars
from .base import ModelInfo, Token
from .call_constraints import CallConstraints, HeldCalls, LateTrigger
from .capabilities import Capability
from .chat_constraint import ChatConstraint, ThoughtLimit
from .choice import EndedAnswer, choice_events
from .choices import merge_choices
from .continuation import beginning_of
from .draft_sources import DraftSources
from .output import Output, PlainText
from .prompts import Prompts
from .recorder import Recorder


class LocalEngine:
    """One model, some sequences at a time. The KV cache stays from request to request.

    `load_runner` is given a function; once that returns True, it raises ShuttingDown. The KV cache holds at most
    `cache_positions` tokens, over all sequences.
    """

    def __init__(
        self,
        info: ModelInfo,
        chat_format: ChatFormat,
        tokenizer: Tokenizer,
        end_tokens: Iterable[int],
        load_runner: Callable[[Callable[[], bool]], Runner],
        cache_positions: int,
        max_queue: int,
        tool_grammar: Literal["auto", "strict", "off"] = "auto",
        *,
        speculates: bool = True,
        thinking_budget: int | None = None,
        recorder: Recorder | None = None,
        unload_after_s: float = math.inf,
        most_bytes: int = 0,
    ) -> None:
        self.info = info
        self.most_bytes = most_bytes
        """Memory that the weights take, and all keys and values that there may be."""
        self._format = chat_format
        self._tokenizer = tokenizer
        self._stop_tokens = {*end_tokens, *(tokenizer.specials[name] for name in chat_format.stop_tokens)}
        self._load_runner = load_runner
        self._cache_positions = cache_positions
        self._tool_grammar = tool_grammar
        self._speculates = speculates
        self._thinking_budget = thinking_budget
        self._recorder = recorder
        self._vocab_size = 0  # until the model was loaded for the first time
        self._scheduler = Scheduler(info.choices, max_queue, unload_after_s)
        self._prompts = Prompts(info, chat_format, tokenizer, lambda: self._scheduler.snapshots)

    @property
    def loaded(self) -> bool:
        """True while the model is in memory."""
        return self._scheduler.loaded

    @property
    def takes_memory(self) -> bool:
        """True while the model is in memory, or on its way there."""
        return self._scheduler.loaded or self._scheduler.loading

    @property
    def ready(self) -> bool:
        """True once the model was loaded for the first time."""
        return self._vocab_size > 0

    @property
    def load_s(self) -> float:
        """Seconds that the model took to load, the last time; 0 before the first."""
        return self._scheduler.load_s

    @property
    def all_done_s(self) -> float:
        """Seconds until it has nothing to answer, if no request comes, as far as is known."""
        return self._scheduler.all_done_s()

    async def load(self) -> None:
        load = partial(self._load_runner, lambda: self._scheduler.stopping)
        runner = await self._scheduler.load(load, self._cache_positions)
        self._speculates &= runner.verifies_drafts and runner.vocab_size <= MOST_TOKENS_KNOWN
        self._grammars = Grammars(self._tokenizer, self._stop_tokens, runner.vocab_size)
        self._forms = AnswerGrammars(self._grammars)
        self._calls = CallConstraints(
            self._grammars, self._format, self._tokenizer, strict=self._tool_grammar == "strict"
        )
        self._vocab_size = runner.vocab_size

    async def unload(self) -> bool:
        """Give the model's memory back. False if it is not loaded, or has something to do."""
        given_back = self._scheduler.unload()
        if given_back is not None:
            await asyncio.wrap_future(given_back)
        return given_back is not None

    def stop(self) -> None:
        self._scheduler.stop()

    async def close(self) -> None:
        await self._scheduler.close()

    async def models(self) -> list[ModelInfo]:
        return [self.info]

    async def find(self, name: str) -> ModelInfo | None:
        return self.info if self.info.is_called(name) else None

    async def keep(self, name: str | None, seconds: float | None) -> None:
        self._check_ready()
        with self._scheduler.admission(seconds):
            if seconds != 0:
                await self._scheduler.wake()

    async def status(self) -> Status:
        drafts = self._scheduler.drafts if self._speculates else None
        return Status(
            self.ready,
            self._scheduler.status(),
            drafts=drafts,
            reading=self._scheduler.reading(),
            tokens=self._scheduler.tokens,
            kv_cache=self._scheduler.kv_cache() if self.ready else None,
            kv_disk=self._scheduler.kv_disk,
            loaded=self._scheduler.loaded,
            wait_s=self._scheduler.wait_s() if self.ready else None,
            unloads_in_s=self._scheduler.unloads_in_s,
        )

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        self._check_ready()
        choice = request.tool_choice
        tools = request.callable_tools
        sampling = self._checked(request.sampling.resolved(request.defaults), request.choices or 1)
        beginning = beginning_of(request)
        history = request.messages if beginning is None else request.messages[:-1]
        with self._scheduler.admission(request.keep_alive_s):
            prompt = self._prompts.render(request, history)
            calls = self._held_calls(request, prompt)
            binding = calls is not None and bool(self._calls.binding(tools))
            held: HeldCalls | None = None
            if calls is not None and (binding or _is_form(request.response_format) or beginning is not None):
                held = await calls  # it may refuse the request, be a part of the form's grammar, or hold what is begun
            lead = self._format.answer_lead(prompt)
            grammar = await self._grammar(request.response_format, sampling, lead, held)
            begun = Prompt(() if beginning is None else self._format.text_opening(beginning, prompt))
            begun_ids = await self._prompts.encode(begun, param="messages")
            encoded = await self._prompts.encode_conversation(prompt)
            ids = encoded.ids + begun_ids
            forced = [tool.name for tool in tools if choice.mode == "required" or tool.name == choice.name]
            openings = self._openings(prompt, forced)
            self._prompts.check_length(len(ids) + max(map(len, openings), default=0), param="messages")
            self._scheduler.check_wait(ids, request.max_wait_s, background=request.background)
            sources = await self._draft_sources(request)
            constraint = ChatConstraint(
                self._tokenizer,
                grammar,
                None if calls is None else LateTrigger(calls),
                openings,
                begun_ids,
                self._thought_limit(request.thinking, prompt),
                one_call=request.parallel_tool_calls is False,
                samples_all=sampling.top_logprobs is not None,
            )

            def output() -> Output:
                parser = self._format.parser(tools, prompt_ends_in_think=prompt.ends_in_think, exact=binding)
                made = Output(
                    parser,
                    sampling.stop,
                    parallel_tool_calls=request.parallel_tool_calls is not False,
                    in_thought=prompt.ends_in_think if self._format.thinking.on else None,
                )
                if beginning is not None:
                    made.begin(begun.pieces, beginning.content.lstrip())
                return made

            def ended(answer: EndedAnswer) -> None:
                tokens = [*begun_ids, *answer.tokens]
                if answer.whole:
                    self._prompts.keep_answer(encoded, beginning, tokens, answer.said)
                if answer.faults and self._recorder is not None:
                    self._recorder.note(request, self._format, prompt, self._tokenizer, tokens, answer)

            answers = self._answers(
                ids,
                sampling,
                range(request.choices or 1),
                output,
                constraint.fresh,
                sources,
                openings,
                background=request.background,
                timed=request.timed,
                ended=ended,
            )
            async with aclosing(merge_choices(list(answers), self.info.choices, len(ids))) as events:
                async for event in events:
                    yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        self._check_ready()
        sampling = self._checked(request.sampling.resolved(request.defaults), request.choices or 1)
        grammar = await self._grammar(request.response_format, sampling)

        def constraint() -> Constraint | None:
            return None if grammar is None else grammar.constraint(samples_all=sampling.top_logprobs is not None)

        with self._scheduler.admission(request.keep_alive_s):
            answers: list[AsyncGenerator[AnswerEvent, None]] = []
            sources = DraftSources() if self._speculates else None
            length = 0
            for prompt in request.prompts:
                if isinstance(prompt, str):
                    ids = await self._prompts.encode(self._format.bare_prompt(prompt), param="prompts")
                else:
                    ids = list(prompt)
                    if not ids or not all(0 <= token < self._vocab_size for token in ids):
                        raise InvalidRequest(f"token ids must be from 0 to {self._vocab_size - 1}", param="prompts")
                self._prompts.check_length(len(ids), param="prompts")
                if not length:  # the first answer's first token is what the client waits for
                    self._scheduler.check_wait(ids, request.max_wait_s, background=request.background)
                length += len(ids)
                numbers = range(len(answers), len(answers) + (request.choices or 1))
                output = partial(Output, PlainText(), sampling.stop)
                answers += self._answers(
                    *(ids, sampling, numbers, output, constraint, sources),
                    background=request.background,
                    timed=request.timed,
                )
            async with aclosing(merge_choices(answers, self.info.choices, length)) as events:
                async for event in events:
                    yield event

    async def count_tokens(self, request: ChatRequest) -> int:
        prompt = self._prompts.render(request, request.messages)
        return len((await self._prompts.encode_conversation(prompt)).ids)

    async def tokenize(self, text: str) -> list[Token]:
        return await asyncio.to_thread(self._prompts.tokens, text)

    def _check_ready(self) -> None:
        """Raises: NotReady until the model was loaded for the first time."""
        if not self.ready:
            raise NotReady("the model is still being loaded; try again in a few seconds")

    def _thought_limit(self, thinking: Thinking, prompt: Prompt) -> ThoughtLimit | None:
        """None for no limit, or a model that does not think. Raises: InvalidRequest."""
        asked = thinking.budget
        if asked is not None and asked < NO_LIMIT:
            raise InvalidRequest(f"at least 0 tokens, or -1 for no limit, not {asked}", param="thinking.budget")
        budget = self._thinking_budget if asked is None else asked
        if budget is None or budget == NO_LIMIT or not self._format.thinking.on or not self._gives_logits:
            return None
        closing = encode_prompt(self._tokenizer, Prompt(self._format.thought_closing()))
        return ThoughtLimit(budget, closing, prompt.ends_in_think)

    async def _draft_sources(self, request: ChatRequest) -> DraftSources | None:
        """None if nothing is drafted."""
        if not self._speculates:
            return None
        return await DraftSources.of(request, self._tokenizer, self.info.context_length)

    def _checked(self, sampling: SamplingParams, choices: int) -> SamplingParams:
        """How tokens are to be sampled. Raises: InvalidRequest."""
        biased = [token for token, _ in sampling.logit_bias]
        for param, tokens in (("logit_bias", biased), ("stop_token_ids", sampling.stop_token_ids)):
            if tokens and max(tokens) >= self._vocab_size:
                most = self._vocab_size - 1
                raise InvalidRequest(
                    f"{max(tokens)} is not a token id; they go from 0 to {most}", param=f"sampling.{param}"
                )
        if choices > self.info.choices:
            raise InvalidRequest(
                f"this server writes at most {self.info.choices} answers to a request (--parallel), not {choices}",
                param="choices",
            )
        if not sampling.ignore_eos:
            return sampling
        never = tuple((token, float("-inf")) for token in sorted(self._stop_tokens))
        return replace(sampling, logit_bias=(*sampling.logit_bias, *never))

    async def _grammar(
        self,
        wanted: ResponseFormat | None,
        sampling: SamplingParams,
        lead: str = EMPTY_LEAD,
        calls: HeldCalls | None = None,
    ) -> Grammar | None:
        """The grammar of answers in the form `wanted`, or that are one of `calls`, compiled beside the event loop.

        Raises: InvalidRequest.
        """
        if not _is_form(wanted):
            return None
        if sampling.ignore_eos:
            raise InvalidRequest(f"an answer with a {NOUN} ends by itself", param="sampling.ignore_eos")
        return await asyncio.to_thread(self._forms.of, wanted, lead, calls)

    def _held_calls(self, request: ChatRequest, prompt: Prompt) -> asyncio.Task[HeldCalls | None] | None:
        """What holds the calls, made beside the event loop; None if calls are free.

        The task raises InvalidRequest if a binding schema cannot be honoured. The grammars of the tools are compiled
        behind it, while the prompt is read.
        """
        if not request.callable_tools or self._tool_grammar == "off" or not self._gives_logits:
            return None
        places = {tool.name: place for place, tool in enumerate(request.tools)}
        held = asyncio.create_task(asyncio.to_thread(self._calls.held, request.callable_tools, places, prompt))
        held.add_done_callback(_compile_all)
        return held

    @property
    def _gives_logits(self) -> bool:
        return Capability.RESPONSE_FORMAT in self.info.capabilities

    def _openings(self, prompt: Prompt, names: Iterable[str]) -> list[list[int]]:
        """The tokens that begin a call of each of the tools `names` after `prompt`."""
        openings = [Prompt(self._format.call_opening(name, prompt)) for name in names]
        return [encode_prompt(self._tokenizer, opening) for opening in openings]

    def _answers(
        self,
        ids: list[int],
        sampling: SamplingParams,
        numbers: range,
        output: Callable[[], Output],
        constraint: Callable[[], Constraint | None],
        sources: DraftSources | None,
        openings: Sequence[Sequence[int]] = (),
        *,
        background: bool,
        timed: bool,
        ended: Callable[[EndedAnswer], None] | None = None,
    ) -> Iterator[AsyncGenerator[AnswerEvent, None]]:
        """Answers to one prompt, each with a `constraint` of its own. Each begins with one of `openings`, if any.
        In the `background`, if nobody waits for them.

        Drafts come from `sources`, too. `timed` and `ended` as for `choice_events`. `numbers` are theirs among the
        request's answers. A seed gives each its own random numbers, by its place among the answers to the prompt.
        """
        room = self.info.context_length - len(ids)
        for place, number in enumerate(numbers):
            sequence = AnswerSequence(
                ids,
                partial(self._scheduler.sampler, ids, sampling, place),
                max_tokens=min(sampling.max_tokens or room, room),
                stop_tokens={*self._stop_tokens, *sampling.stop_token_ids},
                constraint=constraint(),
                drafter=sources.drafter(len(ids), self._scheduler.recent) if sources else None,
                reports_progress=place == 0,
                background=background,
            )
            yield choice_events(
                self._scheduler,
                self._tokenizer,
                sequence,
                output(),
                choice=number,
                counts_prompt=place == 0,
                reports_tokens=sampling.top_logprobs is not None,
                timed=timed,
                openings=openings,
                ended=ended,
            )


def _is_form(wanted: ResponseFormat | None) -> TypeGuard[ResponseFormat]:
    return wanted is not None and not isinstance(wanted, TextFormat)


def _compile_all(held: asyncio.Task[HeldCalls | None]) -> None:
    """Has a thread compile the grammars of all tools. Nobody waits for it."""
    if not held.cancelled() and held.exception() is None and (calls := held.result()) is not None:
        asyncio.get_running_loop().run_in_executor(None, calls.compile_all)
