"""Boards: constants generated from hardware/boards/*.toml (one module per board) and the code that only a board needs (`esp32_*`).

Imported only by what starts the agent on that board: everything else is given ports and never asks where it runs.
"""
