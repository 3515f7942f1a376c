"""Bases assembled from signed Debian packages."""
