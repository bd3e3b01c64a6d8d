"""``chatglm-server chat``: a conversation in the terminal, with this server's own engine or another server."""
