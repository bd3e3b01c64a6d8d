"""Queues of requests."""
