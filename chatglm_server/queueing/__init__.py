"""Who may come in, and when it is their turn."""
