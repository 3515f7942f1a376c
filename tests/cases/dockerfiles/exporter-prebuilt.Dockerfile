ARG ARCH="amd64"
ARG OS="linux"
FROM quay.io/prometheus/busybox-${OS}-${ARCH}:glibc
LABEL maintainer="The Exporters <exporters@example.org>"

ARG ARCH="amd64"
ARG OS="linux"
COPY .build/${OS}-${ARCH}/disk_exporter /bin/disk_exporter

EXPOSE      9100
USER        nobody
ENTRYPOINT  [ "/bin/disk_exporter" ]
