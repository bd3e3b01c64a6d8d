"""Conversion of model files to GGUF: from Hugging Face's safetensors and from chatglm.cpp's ``.bin``."""
