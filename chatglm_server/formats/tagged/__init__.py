"""Calls between tags (GLM-4.5 and later). `reader.py` has the grammar."""
