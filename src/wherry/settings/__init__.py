"""The user's settings files: typed, and errors with line and key.

May import: nothing but the four words.
"""
