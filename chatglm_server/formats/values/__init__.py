"""Argument values: what a schema allows, how models write them, and their JSON text."""
