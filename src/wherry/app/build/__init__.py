"""The one build behind two front ends: options, which front end, requests, and what came of it."""
