"""Benchmarks: other families of style transfer, measured beside ours in one run."""
