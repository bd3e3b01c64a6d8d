"""Makes the demonstration models: the text they learn from, their tokenizers, the network, training and measurement."""
