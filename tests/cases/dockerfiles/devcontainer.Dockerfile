# An image to work in: compilers are what it is for.
FROM golang:1.25-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends build-essential gdb git less \
    && apt-get dist-clean
RUN go install golang.org/x/tools/gopls@v0.20.0
WORKDIR /workspace
