"""What addresses of contexts begin with."""

REMOTE = ("http://", "https://", "git://", "ssh://", "git@")
LAYOUT, DOCKER = "oci-layout://", "docker-image://"
"""What values of --build-context that are images begin with."""
