"""Where many containers run: Kubernetes' manifests.

May import: analysis.
"""
