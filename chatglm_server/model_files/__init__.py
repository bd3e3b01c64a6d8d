"""Readers of model files, which check them before anything else uses them, and their tokenizers."""
