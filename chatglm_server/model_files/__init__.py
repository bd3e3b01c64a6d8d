"""Model files, read and checked before anything else touches them, and their tokenizers."""
