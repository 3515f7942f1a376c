"""wherry: a Go module, or a Dockerfile, to the smallest image that works, and the proof of it."""

__version__ = "0.1.0"
