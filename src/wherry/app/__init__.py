"""The use cases, which are the Python API too: typed values in and out, progress by callback.

No terminal, no argv, no environment but the one it is given, no state outside of a `Session`.

May import: oci, dockerfile, debian, golang, elf, foreign, store, snapshots, layer, image, registry, daemon, source,
plan, sandbox, build, base, settings, host, cluster, runtime, analysis, trust, lab, history, pipeline.
"""
