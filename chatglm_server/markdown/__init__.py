"""Markdown of a model as HTML that a page may show."""
