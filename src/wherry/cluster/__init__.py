"""Where many containers run: Kubernetes' manifests, and its API server.

May import: analysis.
"""
