"""Anthropic's Messages API: bodies, conversation, tools, answers, errors and routes."""
