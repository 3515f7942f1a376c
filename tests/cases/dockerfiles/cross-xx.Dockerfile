# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM tonistiigi/xx:1.6.1 AS xx
FROM --platform=$BUILDPLATFORM golang:1.25-alpine AS build
COPY --from=xx / /
RUN apk add --no-cache clang lld
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
ARG TARGETPLATFORM
RUN xx-apk add --no-cache musl-dev gcc
COPY . .
RUN CGO_ENABLED=1 xx-go build -ldflags "-s -extldflags '-static'" -o /bin/relay ./cmd/relay && xx-verify --static /bin/relay
FROM scratch
COPY --from=build /bin/relay /relay
USER 1000
ENTRYPOINT ["/relay"]
