"""What a linker writes down: header, sections, segments, notes, dynamic section.

May import: nothing but the four words. No file, network, process or clock.
"""
