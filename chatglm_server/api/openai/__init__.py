"""OpenAI's endpoints: their bodies, their chunks and their routes."""
