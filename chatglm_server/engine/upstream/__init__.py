"""The engine in front of another OpenAI-compatible server."""
