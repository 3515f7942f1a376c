"""The build checks as data: what each says, and what mends it.

Names and messages are BuildKit's, since people write the names in `# check=skip=…` and their tools know the messages.

Source: Docker's documentation, "Build checks"; BuildKit 0.34's behaviour for when each is given.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One check."""

    message: str
    remedy: str
    experimental: bool = False
    """Whether it is only given when it is asked for."""


RULES = {
    "StageNameCasing": Rule(
        "Stage name '{0}' should be lowercase", "write the name in lower case; names are compared in lower case"
    ),
    "FromAsCasing": Rule(
        "'{1}' and '{0}' keywords' casing do not match", "write FROM and AS both in upper case, or both in lower"
    ),
    "NoEmptyContinuation": Rule("Empty continuation line", "delete the empty line, or make it a comment"),
    "ConsistentInstructionCasing": Rule(
        "Command '{0}' should match the case of the command majority ({1})", "write it in the same case as the others"
    ),
    "DuplicateStageName": Rule(
        'Duplicate stage name "{0}", stage names should be unique',
        "rename one of the two: only the last can be a target",
    ),
    "ReservedStageName": Rule(
        'Stage name should not use the same name as reserved stage "{0}"', "choose another name for the stage"
    ),
    "JSONArgsRecommended": Rule(
        "JSON arguments recommended for {0} to prevent unintended behavior related to OS signals",
        "write the command as a JSON array; in shell form, the shell does not forward signals",
    ),
    "MaintainerDeprecated": Rule(
        "Maintainer instruction is deprecated in favor of using label",
        "write LABEL org.opencontainers.image.authors=… instead",
    ),
    "UndefinedArgInFrom": Rule("FROM argument '{0}' is not declared{1}", "declare it with ARG before the first FROM"),
    "WorkdirRelativePath": Rule(
        'Relative workdir "{0}" can have unexpected results if the base image changes', "start the path with /"
    ),
    "UndefinedVar": Rule("Usage of undefined variable '${0}'{1}", "declare it with ARG or ENV in this stage"),
    "MultipleInstructionsDisallowed": Rule(
        "Multiple {0} instructions should not be used in the same stage because only the last one will be used",
        "delete this one: a later one replaces it",
    ),
    "LegacyKeyValueFormat": Rule(
        '"{0} key=value" should be used instead of legacy "{0} key value" format', "put = between name and value"
    ),
    "InvalidBaseImagePlatform": Rule(
        'Base image {0} was pulled with platform "{2}", expected "{1}" for current build',
        "use a base that has the platform",
    ),
    "RedundantTargetPlatform": Rule(
        "Setting platform to predefined {0} in FROM is redundant as this is the default behavior",
        "remove the flag",
    ),
    "SecretsUsedInArgOrEnv": Rule(
        'Do not use ARG or ENV instructions for sensitive data ({0} "{1}")',
        "pass it to the step with RUN --mount=type=secret",
    ),
    "InvalidDefaultArgInFrom": Rule(
        "Default value for ARG {0} results in empty or invalid base image name",
        "give the ARG a default that makes the name valid",
    ),
    "FromPlatformFlagConstDisallowed": Rule(
        'FROM --platform flag should not use constant value "{0}"',
        "remove the flag, use $BUILDPLATFORM, or name the stage after the platform",
    ),
    "CopyIgnoredFile": Rule(
        'Attempting to {0} file "{1}" that is excluded by .dockerignore',
        "remove it from .dockerignore, or do not copy it",
    ),
    "InvalidDefinitionDescription": Rule(
        "Comment for {0} should follow the format: `# {1} <description>`",
        "start the comment with the name, or put an empty comment line below it",
        experimental=True,
    ),
    "ExposeProtoCasing": Rule(
        "Defined protocol '{0}' in EXPOSE instruction should be lowercase", "write the protocol in lower case"
    ),
    "ExposeInvalidFormat": Rule(
        "EXPOSE instruction should not define an IP address or host-port mapping, found '{0}'",
        "name only the container port; map it when the container starts",
    ),
}
