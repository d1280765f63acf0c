"""Measurements as ratios within one run: absolute seconds on a shared machine say little."""
