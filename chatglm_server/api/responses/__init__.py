"""OpenAI's Responses API: its bodies, its items and their events, and its routes."""
