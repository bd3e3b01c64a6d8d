"""Constraints on the tokens of an answer."""
