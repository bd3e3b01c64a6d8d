"""How long a request will wait for its first token: the batch's way of admitting and mixing, in fast motion.

There is no clock and no model in here. `Scheduler` says what is there, and `PassTimes` what passes take. Between two
events (a prompt is read, an answer ends) all passes are alike, so an estimate takes a step for each event, not for
each pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .pass_shares import pass_shares
from .pass_times import PassTimes

_LATEST = 1 / 256  # of the averages over steps that decode, what one step counts at least: answers differ in drafts


@dataclass(slots=True, eq=False)
class Work:
    """A sequence, as far as it matters to others: tokens that it has to read, holds, and is expected to write.

    `prefix_of`: a sequence that, while it reads, reads the beginning of this one too.
    """

    unread: int
    depth: int
    unwritten: float
    background: bool = False
    decodes: bool = False
    prefix_of: Work | None = None


@dataclass(slots=True)
class Line:
    """All sequences: those that run, and those that wait, in their order. At most `parallel` run."""

    parallel: int
    chunk: int
    """Tokens of prompts that a pass may read."""
    most_positions: int
    in_pass: bool
    """True if those that run are in a pass just now. The others come in with the next one."""
    running: list[Work] = field(default_factory=list)
    waiting: list[Work] = field(default_factory=list)


class DecodeSteps:
    """What a step of a sequence that decodes is like on average: rows, with drafts, and tokens that it adds."""

    def __init__(self) -> None:
        self.rows = 1.0
        self.tokens = 1.0
        self._noted = 0

    def note(self, rows: float, tokens: float) -> None:
        """Mutates the averages."""
        self._noted += 1
        share = max(_LATEST, 1 / self._noted)
        self.rows += share * (rows - self.rows)
        self.tokens += share * (max(1.0, tokens) - self.tokens)


class WaitingTime:
    """Estimates from what passes take and what steps are like. Some pass has to be known."""

    def __init__(self, times: PassTimes, steps: DecodeSteps) -> None:
        self._times = times
        self._steps = steps

    def first_token_s(self, line: Line, new: Work, after_s: float = 0.0) -> float:
        """Seconds until `new` gets its first token, if it comes `after_s` seconds after the beginning of the present
        pass, or, less than 0, so long before the model is loaded, and nobody else does.
        """
        return self._run(line, new, after_s) - after_s

    def all_done_s(self, line: Line) -> float:
        """Seconds from the beginning of the present pass until nothing is left to do."""
        return self._run(line, None, math.inf)

    def retry_after_s(self, line: Line, new: Work, limit_s: float, since_s: float = 0.0) -> int | None:
        """Whole seconds, at least 1, after which `new` would get its first token within `limit_s`. None: never, for
        its own prompt takes longer.

        The present pass began `since_s` seconds ago.
        """
        enough = max(1, math.ceil(self.all_done_s(line) - since_s) + 1)
        if self.first_token_s(line, new, since_s + enough) > limit_s:
            return None
        too_few = 0
        while enough - too_few > 1:
            middle = (enough + too_few) // 2
            if self.first_token_s(line, new, since_s + middle) > limit_s:
                too_few = middle
            else:
                enough = middle
        return enough

    def _run(self, line: Line, new: Work | None, after_s: float) -> float:
        """Seconds until `new` has its first token; if there is no `new`, until nothing is left to do."""
        line, new = _copy(line, new)
        in_pass = line.in_pass
        now, entered = 0.0, False
        while True:
            if new is not None and not entered and now >= after_s and (now or not in_pass):
                line.waiting.append(new)
                entered = True
            if now or not in_pass:  # the present pass goes on with those that were there when it began
                _admit(line)
            counts = _counts(line)
            if not counts:
                if in_pass and not now:
                    in_pass = False
                    continue
                if new is None or entered:
                    return now
                now = after_s
                continue
            passes = self._passes_alike(counts) if now or not in_pass else 1
            deep = sum(count * (work.depth + passes * count / 2) for work, count in counts.items())
            rows = sum(count * (self._steps.rows if work.decodes else 1) for work, count in counts.items())
            each = self._times.seconds(rows, deep / sum(counts.values()))
            if new is not None and not entered:
                passes = min(passes, max(1, math.ceil((after_s - now) / each)))
            now += passes * each
            for work, count in counts.items():
                self._advance(work, count, passes)
                if work is new and work.decodes:
                    return now
            line.running = [work for work in line.running if work.unwritten > 0]

    def _passes_alike(self, counts: dict[Work, int]) -> int:
        """How many passes have the same counts: until a prompt is read, or an answer ends."""
        return max(
            1,
            min(
                math.ceil(work.unwritten / self._steps.tokens) if work.decodes else work.unread // count
                for work, count in counts.items()
            ),
        )

    def _advance(self, work: Work, count: int, passes: int) -> None:
        if work.decodes:
            tokens = self._steps.tokens * passes
            work.depth += int(tokens)
            work.unwritten -= tokens
            work.unread = 1
            return
        work.unread -= count * passes
        work.depth += count * passes
        if work.unread <= 0:
            work.decodes, work.unread = True, 1
            work.unwritten -= 1


def _copy(line: Line, new: Work | None) -> tuple[Line, Work | None]:
    """Copies to be changed. What `prefix_of` names is a copy too."""
    works: Sequence[Work] = [*line.running, *line.waiting, *([] if new is None else [new])]
    copies = {work: replace(work) for work in works}
    for copy in copies.values():
        copy.prefix_of = None if copy.prefix_of is None else copies.get(copy.prefix_of)
    copied = replace(
        line,
        running=[copies[work] for work in line.running],
        waiting=[copies[work] for work in line.waiting],
    )
    return copied, None if new is None else copies[new]


def _admit(line: Line) -> None:
    """As `Batch` admits. Mutates the line."""
    others = any(not work.background for work in (*line.running, *line.waiting))
    if others:
        for work in [work for work in reversed(line.running) if work.background]:
            line.running.remove(work)
            line.waiting.insert(0, work)
    for work in list(line.waiting):
        if len(line.running) == line.parallel:
            break
        if work.background and others:
            continue
        held = sum(one.depth for one in line.running)
        if line.running and held + work.depth + work.unread > line.most_positions:
            break
        if work.prefix_of in line.running and work.prefix_of is not None and not work.prefix_of.decodes:
            continue
        line.waiting.remove(work)
        line.running.append(work)


def _counts(line: Line) -> dict[Work, int]:
    """The tokens that each sequence reads in a pass, of those that read any."""
    unread, decodes = [work.unread for work in line.running], [work.decodes for work in line.running]
    shares = pass_shares(unread, decodes, line.chunk)
    return {work: share for work, share in zip(line.running, shares, strict=True) if share}
