"""An OpenAI-compatible server for GLM models on a CPU."""

__version__ = "0.1.0"
