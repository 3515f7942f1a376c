FROM ubuntu:24.04
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y clang-18 cmake ninja-build ccache && rm -rf /var/lib/apt/lists/*
USER 1000
CMD ["/bin/bash"]
