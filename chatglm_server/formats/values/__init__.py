"""Argument values: what a schema allows, how models write them, and JSON text of them."""
