# Wheels are compiled in one stage, and installed in the other.
FROM python:3.12-slim-bookworm AS wheels
RUN apt-get update && apt-get install -y build-essential libpq-dev
WORKDIR /wheels
COPY requirements/production.txt .
RUN pip wheel --wheel-dir /wheels -r production.txt

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install --no-install-recommends -y libpq5 \
    && apt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false \
    && rm -rf /var/lib/apt/lists/*
RUN addgroup --system django && adduser --system --ingroup django django
COPY --from=wheels /wheels /wheels
RUN pip install --no-cache-dir --no-index --find-links=/wheels /wheels/* && rm -rf /wheels
COPY --chown=django:django . /app
WORKDIR /app
USER django
ENTRYPOINT ["/app/entrypoint"]
