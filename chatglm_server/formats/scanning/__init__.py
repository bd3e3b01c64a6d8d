"""Incremental scanners over text that arrives in pieces."""
