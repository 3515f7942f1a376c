"""The Dockerfile language: text to stages and instructions, variables, ignore patterns, checks.

A format: bytes and text to values and back; no file, process, network or clock.

May import: nothing.
"""
