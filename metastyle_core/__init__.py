"""MetaStyle: any one image becomes a reusable style, in plain PyTorch."""

__version__ = "0.1.0"
