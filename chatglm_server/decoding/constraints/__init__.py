"""What the tokens of an answer may be."""
