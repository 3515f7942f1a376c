FROM ghcr.io/astral-sh/uv:0.8.3-python3.13-bookworm-slim AS builder
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    uv sync --locked --no-install-project --no-dev
COPY . /app
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev
FROM python:3.13-slim-bookworm
RUN groupadd --system --gid 999 web && useradd --system --gid 999 --uid 999 --create-home web
COPY --from=builder --chown=web:web /app /app
ENV PATH="/app/.venv/bin:$PATH"
USER web
CMD ["uvicorn", "web:app"]
