FROM alpine:3.22 AS rootfs
RUN apk upgrade --no-cache && apk add --no-cache bash curl
FROM scratch
COPY --from=rootfs / /
CMD ["/bin/bash"]
