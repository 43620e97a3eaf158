"""Generators of pictures from noise, by games."""
