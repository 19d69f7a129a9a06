"""Plug-ins and heads, one idea per file."""

from dfer.modules.temporal import BiLSTM

__all__ = ["BiLSTM"]
