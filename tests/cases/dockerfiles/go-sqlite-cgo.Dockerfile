# cgo with sqlite: the same distribution on both sides.
FROM golang:1.25-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 go build -tags sqlite_fts5 -o /bin/notes ./cmd/notes

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 notes
COPY --from=build /bin/notes /usr/local/bin/notes
USER 10001
ENTRYPOINT ["tini", "--", "notes"]
