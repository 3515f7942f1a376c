FROM golang:1.25-alpine AS build
RUN apk add --no-cache build-base
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=1 go build -ldflags '-s -linkmode external -extldflags "-static"' -o /edge .
FROM scratch
COPY --from=build /edge /edge
USER 1000
ENTRYPOINT ["/edge"]
