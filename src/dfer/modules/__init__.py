"""Plug-ins and heads, one idea per file."""

from dfer.modules.attention import SelfAttention
from dfer.modules.dam import DAM
from dfer.modules.dct import dct_filters
from dfer.modules.dual_stream import DualStream
from dfer.modules.instance_aggregation import DynamicNormalisation, InstanceAggregation
from dfer.modules.key_expression import KeyExpression, KeyExpressionDetector, resample_clip
from dfer.modules.s2am2 import S2AM2, S2AM2Cell
from dfer.modules.temporal import BiLSTM

__all__ = [
    "DAM",
    "S2AM2",
    "BiLSTM",
    "DualStream",
    "DynamicNormalisation",
    "InstanceAggregation",
    "KeyExpression",
    "KeyExpressionDetector",
    "S2AM2Cell",
    "SelfAttention",
    "dct_filters",
    "resample_clip",
]
