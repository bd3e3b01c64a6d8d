"""What computes a model, each behind `decoding.model.Model`."""
