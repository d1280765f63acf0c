"""images.yaml: what we want, read into frozen models."""
