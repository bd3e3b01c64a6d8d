"""``chatglm-server selftest URL``: which rules of the wire an OpenAI-compatible server keeps, and which it breaks."""
