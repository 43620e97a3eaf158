"""Translate: train your own image translator, then use it."""

__version__ = "0.1.0"
