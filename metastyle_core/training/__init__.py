"""Training: the data, the outer loop, meta-learning and encoder distillation."""
