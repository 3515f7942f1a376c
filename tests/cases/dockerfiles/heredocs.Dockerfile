# syntax=docker/dockerfile:1
FROM debian:bookworm-slim
RUN <<EOF
set -e
apt-get update
apt-get install -y --no-install-recommends nginx-light
rm -rf /var/lib/apt/lists/*
EOF
COPY <<"EOF" /etc/nginx/conf.d/default.conf
server {
  listen 8080;
  location / { return 200 "token=$request_id"; }
}
EOF
USER www-data
CMD ["nginx", "-g", "daemon off;"]
