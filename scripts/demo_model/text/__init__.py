"""The text that the demo models learn from: words, tools, questions and conversations."""
