"""What programs need at run time: loaders, libraries, symbol versions, interpreters, and what Go packages ask for.

Arrows: oci, elf, golang, layer, store.
"""
