FROM alpine:3.22
ARG KUBECTL_VERSION=1.33.2
ARG TARGETARCH
RUN apk add --no-cache bash ca-certificates curl git jq openssh-client \
 && curl -fsSLo /usr/local/bin/kubectl "https://dl.k8s.io/release/v${KUBECTL_VERSION}/bin/linux/${TARGETARCH}/kubectl" \
 && chmod 0755 /usr/local/bin/kubectl
ENV VAULT_TOKEN_FILE=/run/secrets/vault TIMEOUT=3600
USER 1000
ENTRYPOINT ["/bin/bash"]
