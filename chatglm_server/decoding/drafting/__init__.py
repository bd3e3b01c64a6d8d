"""Drafts: guesses of an answer's next tokens, which one forward pass verifies together.

The rule is exact. A pass reads ``[last, d1 … dk]``; the token after `last` is sampled as always. If it equals d1 the
token after d1 is sampled from the next row, and so on; at the first difference the sampled token stands and the rest
of the draft is dropped. A row's logits do not depend on what else is in the pass, and the random number for a token
depends on its position alone. So the text is bit for bit that of plain decoding, whatever the draft.

`base.py` is the contract. `prompt_lookup.py` guesses from the conversation, from `recent_answers.py` and from what
`spellings.py` writes as the answer may write it. `acceptance.py` says how good a guess is, `pass_costs.py` what a row
of a pass costs, and `lengths.py` how much of the guesses a pass reads.
"""
