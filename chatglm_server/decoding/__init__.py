"""Token level: sequences, their KV cache, sampling, and the scheduler that drives a model. No chat, no HTTP."""
