"""Calls written into plain text, without tags (ChatGLM3, GLM-4)."""
