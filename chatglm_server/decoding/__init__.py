"""Token level: sequences, their KV cache, the scheduler that drives a model. Knows nothing of chat or HTTP."""
