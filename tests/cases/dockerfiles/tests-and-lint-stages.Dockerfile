FROM golang:1.25 AS base
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .

FROM base AS lint
COPY --from=golangci/golangci-lint:v2.2.1 /usr/bin/golangci-lint /usr/bin/golangci-lint
RUN golangci-lint run

FROM base AS test
RUN go test -race ./...

FROM base AS build
RUN CGO_ENABLED=0 go build -o /server ./cmd/server

FROM gcr.io/distroless/static-debian12:nonroot AS server
COPY --from=build /server /server
ENTRYPOINT ["/server"]
