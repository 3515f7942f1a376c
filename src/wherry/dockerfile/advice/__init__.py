"""wherry's own lint rules: advice that BuildKit's build checks do not have."""
