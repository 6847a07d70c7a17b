"""Boards: what goes on them, how it gets there safely, and what they say (docs/architecture.md, "On a board")."""
