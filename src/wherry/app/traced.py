"""Whether spans of a build are wanted. Loads nothing, so that a call that is not traced pays nothing."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "WHERRY_OTEL_FILE"
"""Names a file that spans are added to; OpenTelemetry has no variable for it yet."""
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def is_traced(environment: "Mapping[str, str]") -> bool:
    """Report whether the environment asks for spans.

    Source: OpenTelemetry specification 1.50, "Environment Variable Specification".
    """
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return bool(environment.get(FILE)) or sends(environment)


def sends(environment: "Mapping[str, str]") -> bool:
    """Report whether spans go to an endpoint."""
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").lower() == "none":
        return False
    return any(environment.get(name) for name in _ENDPOINTS)
