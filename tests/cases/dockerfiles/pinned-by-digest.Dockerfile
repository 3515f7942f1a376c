FROM golang:1.25@sha256:0000000000000000000000000000000000000000000000000000000000000001 AS build
WORKDIR /src
RUN --mount=type=bind,target=. --mount=type=cache,target=/root/.cache/go-build --mount=type=cache,target=/go/pkg/mod \
    CGO_ENABLED=0 go build -o /out/ ./cmd/...
FROM gcr.io/distroless/static-debian12@sha256:0000000000000000000000000000000000000000000000000000000000000002
COPY --from=build /out/ /usr/bin/
USER 65532
ENTRYPOINT ["/usr/bin/agent"]
