"""One tool call between tags, as GLM-4.5 and later write it, read while it arrives.

    <tool_call>NAME <arg_key>KEY</arg_key> <arg_value>VALUE</arg_value> … </tool_call>

The text goes through phases, each a small class. Each reads text or a tag and returns the next phase or an outcome:

    phase             tag → next phase (→ "…" is an outcome)                                    file
    Name              <arg_key> → Key · </tool_call> → "call" · <tool_call> → SecondStart       name.py
                      </arg_key>, </arg_value> → AfterName or AfterKey · { → JsonBody · = → Pairs
    AfterName         <arg_key> → Key · <arg_value> → Value · </tool_call> → "call"
    SecondStart       <arg_key> → Key · </arg_key> → AfterKey · </tool_call> → "call"
    Key               </arg_key> → AfterKey · <arg_value> → Value                               arguments.py
    AfterKey          <arg_value>, or text → Value
    Value             </arg_value> → AfterValue · </tool_call> → AfterCallEnd
                      <arg_key> → KeyInValue · <tool_call> → NextCall, if a thought ended in the value
    AfterValue        <arg_key> → Key · </tool_call> → "call" · <tool_call> → NextCall          value_end.py
    AfterCallEnd      <tool_call> → NextCall · end of the output → "call"
    KeyInValue        </arg_key> → AfterKeyInValue · <arg_value> → Value (of the next key)
    AfterKeyInValue   <arg_value> → Value (of the next key) or MemberValue
    NextCall          <arg_key>, </arg_key>, </tool_call> → "call", if a known name came before
    MemberValue       </arg_value> → AfterMember · <arg_key> → MemberKey (one object deeper)    nested.py
    AfterMember       <arg_key> → MemberKey · </arg_value> → AfterMember or AfterValue
    MemberKey         </arg_key> → AfterMemberKey
    AfterMemberKey    <arg_value> → MemberValue
    JsonBody          last bracket → AfterBody                                                  bodies.py
    AfterBody         </tool_call> → "call"
    Pairs             </tool_call> → "call"
    Rest              </tool_call> → "call" (a part of it was sent before its block broke)      call.py

Anything else goes from the phases of value_end.py and nested.py back to Value, as text of the value. From the other
phases it breaks the block: see `Call.broken`. Tags that models are known to leave out or to write twice are put right,
and so are calls without the tags of arguments. Each such repair is on record in `Call.repairs`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...chat import FinishReason
from ..tool_names import DeclaredTools
from .call import Call, Outcome, Phase
from .name import Name
from .tags import CALL_END


class CallReader:
    """Reads one call, from behind its ``<tool_call>`` on."""

    def __init__(self, tools: DeclaredTools, numbers: Iterator[int], *, may_stream: bool) -> None:
        self.call = Call(tools, numbers, may_stream=may_stream)
        self.outcome: Outcome | None = None
        self._phase: Phase = Name(self.call)
        self._keep = self.call.raw.write

    def feed(self, part: str, is_tag: bool) -> None:
        """Reads more text, or a tag. Mutates the reader."""
        if is_tag:
            self.call.tag_at = self.call.raw.tell()
        self._keep(part)
        phase = self._phase
        following = phase.feed(part, is_tag)
        if following is phase:
            return
        if isinstance(following, Outcome):
            self.outcome = following
        else:
            self._phase = following

    def end(self, held: str, reason: FinishReason) -> None:
        """The output ends, perhaps in the middle of a tag (`held`). Gives an outcome. Mutates the reader."""
        closing = self._phase.ends_call and len(held) > 1 and CALL_END.startswith(held)
        if closing:
            self.call.raw.write(held)
        elif held:
            self.feed(held, False)
        if self.outcome is None:
            self.outcome = self._phase.end(reason, closing)
