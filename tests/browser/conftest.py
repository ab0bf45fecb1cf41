"""Tests of this folder run on a real host, with a browser before it."""

from host.fixtures import base_folder, comfyui, host_python, server

__all__ = ["base_folder", "comfyui", "host_python", "server"]
