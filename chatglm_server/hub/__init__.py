"""Where model files come from: names, hubs, downloads, and the stores of other programs on this machine."""
