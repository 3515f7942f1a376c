"""Names in `--from=` that a stage almost has."""

import re
from collections.abc import Callable, Sequence

from wherry.dockerfile import instructions as of
from wherry.dockerfile.errors import DockerfileError, near

_OFFICIAL = frozenset(
    """alpine amazonlinux archlinux bash buildpack-deps busybox caddy cassandra centos clojure composer consul couchdb
    debian docker drupal eclipse-temurin elasticsearch elixir erlang fedora gcc ghost golang gradle groovy haproxy
    haskell httpd influxdb jetty joomla jruby julia kibana kong logstash mariadb maven memcached mongo mysql nats
    neo4j nextcloud nginx node openjdk opensuse oraclelinux perl photon php postgres pypy python rabbitmq redis
    rockylinux ruby rust sonarqube swift telegraf tomcat traefik ubuntu vault wordpress zookeeper""".split()  # noqa: SIM905 - a line a name would be a page
)
"""Images that need no registry's name: one of these is meant, however near to a stage's name it is."""
_SHORTEST_SLIP = 4
"""Letters of a name; a shorter one is near to too many."""
_PLAIN = re.compile(r"[\w-]+")


def refuse_slip(name: str, stages: Sequence[str], instruction: of.Instruction, has: Callable[[str], bool]) -> None:
    """Refuse a name that a stage almost has: no registry is asked for it.

    Args:
        name: what is written.
        stages: names of the file's stages.
        instruction: where it is written.
        has: reports whether an image of a name is here.

    Raises:
        DockerfileError: with the stage that was meant.
    """
    meant = near(name, stages) if len(name) >= _SHORTEST_SLIP and _PLAIN.fullmatch(name) else ""
    if meant and name not in _OFFICIAL and not has(name):
        raise DockerfileError(
            f'no stage is called "{name}" (did you mean {meant}?)',
            instruction.lines,
            hint=f"write --from={meant}, or docker.io/library/{name} for the image of that name",
        )
