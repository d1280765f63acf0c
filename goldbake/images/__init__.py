"""The image side of each cloud: base image, bake, find, delete. Each module has the same function names."""
