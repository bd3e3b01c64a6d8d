"""Prefixes that outlive the server: keys and values on disk, in blocks of tokens."""
