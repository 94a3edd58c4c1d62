"""Durable SQLite stores of the backend.

In: paths, numbered migrations, jobs. Out: open connections and one writer task per store. Never knows what is stored.
"""
