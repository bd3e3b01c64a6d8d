"""Chat formats: how each GLM generation writes a conversation, and how its output is read. Pure, no I/O."""
