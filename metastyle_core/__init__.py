"""MetaStyle: any one image becomes a reusable style, in plain PyTorch."""
