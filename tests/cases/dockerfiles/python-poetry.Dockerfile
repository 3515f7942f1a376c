FROM python:3.13-slim AS build
ENV POETRY_VIRTUALENVS_IN_PROJECT=1
RUN pip install poetry==2.1.1
WORKDIR /app
COPY pyproject.toml poetry.lock ./
RUN --mount=type=cache,target=/root/.cache/pypoetry poetry install --only main --no-root
COPY src src
FROM python:3.13-slim
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH
USER 1001
CMD ["python", "-m", "service"]
