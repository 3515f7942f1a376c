FROM ubuntu:22.04
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN apt-get update -y \
  && apt-get install -y --no-install-recommends curl gnupg \
  && curl -fsSL https://packages.example.org/key.asc | gpg --dearmor -o /usr/share/keyrings/example.gpg \
  && echo "deb [signed-by=/usr/share/keyrings/example.gpg] https://packages.example.org stable main" \
     > /etc/apt/sources.list.d/example.list \
  && apt-get update -y \
  && apt-get install -y --no-install-recommends agent=7.2.1 \
  && apt-get clean \
  && rm -rf /var/lib/apt/lists/* /tmp/* /var/tmp/*
USER agent
CMD agent run
