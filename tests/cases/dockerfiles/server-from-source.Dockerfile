# Compiled, installed and cleaned within one layer.
FROM debian:bookworm-slim
RUN groupadd -r -g 999 cache && useradd -r -g cache -u 999 cache
ENV CACHE_DOWNLOAD_URL=https://downloads.example.org/cache-8.0.3.tar.gz
RUN set -eux; \
	savedAptMark="$(apt-mark showmanual)"; \
	apt-get update; \
	apt-get install -y --no-install-recommends ca-certificates wget dpkg-dev gcc libc6-dev libssl-dev make; \
	rm -rf /var/lib/apt/lists/*; \
	wget -O cache.tar.gz "$CACHE_DOWNLOAD_URL"; \
	mkdir -p /usr/src/cache; \
	tar -xzf cache.tar.gz -C /usr/src/cache --strip-components=1; \
	make -C /usr/src/cache -j "$(nproc)" all; \
	make -C /usr/src/cache install; \
	rm -r /usr/src/cache cache.tar.gz; \
	apt-mark auto '.*' > /dev/null; \
	apt-mark manual $savedAptMark > /dev/null; \
	apt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false
USER cache
EXPOSE 6379
CMD ["cache-server"]
