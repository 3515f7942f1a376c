FROM python:3.13-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir ".[server]"
USER 1000
CMD ["board"]
