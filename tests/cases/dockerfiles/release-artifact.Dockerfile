# What a release tool copies in: the program exists already.
FROM gcr.io/distroless/static-debian12:nonroot
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/ship /usr/bin/ship
ENTRYPOINT ["/usr/bin/ship"]
