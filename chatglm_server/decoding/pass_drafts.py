"""The drafts of passes: how many tokens of its guess each sequence gets, by what they cost and how good they are."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ModelFailure
from ..queueing.status import DraftStatus
from .drafting.base import DRAFT_ROWS, Draft
from .drafting.lengths import draft_lengths
from .drafting.pass_costs import PassCosts
from .runner import StepResult
from .sequence import AnswerSequence


class PassDrafts:
    """Learns what a token of a draft costs, and drafts as long as pays."""

    def __init__(self) -> None:
        self._costs = PassCosts()
        self.price = 0.0
        """Other tokens that each drafted one of the next pass could be."""
        self.status: DraftStatus = {"drafted": 0, "accepted": 0}
        """Draft tokens that passes have verified, and accepted, since the start."""

    def of_pass(self, decoding: Sequence[AnswerSequence], rows: int) -> dict[AnswerSequence, Sequence[int]]:
        """The drafts of the sequences that sample a token in a pass, which reads `rows` tokens besides. If a drafter
        fails, its sequence is ended. Mutates the price.
        """
        most = DRAFT_ROWS - len(decoding)
        proposals: dict[AnswerSequence, Draft] = {}
        for sequence in decoding:
            try:
                proposals[sequence] = sequence.draft(most)
            except Exception as error:  # it ends its own answer only
                sequence.fail(ModelFailure(f"the answer cannot go on: its drafter failed: {error}"))
        chances = [proposal.chances for proposal in proposals.values()]
        lengths, self.price = draft_lengths(chances, self._costs, rows, len(decoding), most)
        return {
            sequence: proposal.tokens[:length]
            for (sequence, proposal), length in zip(proposals.items(), lengths, strict=True)
            if length
        }

    def note_pass(self, rows: int, seconds: float, drafted: int) -> None:
        """Learn from a pass of `rows` rows, `drafted` of them for drafts. Mutates the costs."""
        self._costs.note(rows, seconds, drafted)

    def note_result(self, result: StepResult) -> None:
        """Count what came of a draft. Mutates the status."""
        self.status["drafted"] += result.drafted
        self.status["accepted"] += max(0, len(result.sampled) - 1)
