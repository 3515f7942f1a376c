"""A policy in the languages of other admission engines: as much of it as each can express, and what it can't."""
