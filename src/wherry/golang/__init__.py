"""What Go writes down: go.mod, go.sum, buildinfo, pclntab.

May import: nothing but the four words. No file, network, process or clock.
"""
