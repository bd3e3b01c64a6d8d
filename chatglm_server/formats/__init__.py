"""Chat formats: how each GLM generation writes a conversation down, and how its output is read back. Pure, no I/O."""
