"""Executables of other systems: Mach-O and PE, as far as their sections go.

May import: nothing but the four words. No file, network, process or clock.
"""
