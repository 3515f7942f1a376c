FROM python:3.13-alpine
LABEL com.github.actions.name="Check links" com.github.actions.color="blue"
RUN pip install --no-cache-dir linkcheck==3.1.0
COPY entrypoint.sh /entrypoint.sh
ENTRYPOINT ["/entrypoint.sh"]
