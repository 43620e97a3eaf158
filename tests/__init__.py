"""Tests; `pytest` runs them all."""
