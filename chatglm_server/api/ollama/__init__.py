"""Ollama's API, for the tools that speak nothing else (ollama/ollama: ``docs/api.md``, ``api/types.go``)."""
