"""``chatglm-server doctor``: checks this machine, and says what to expect of it and what to change."""
