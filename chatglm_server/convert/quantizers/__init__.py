"""Quantizers: rows of float32 become blocks of a ggml type."""
