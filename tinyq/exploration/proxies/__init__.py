"""Proxies: how good an assignment is, each a file found by its decorator."""

from __future__ import annotations

from tinyq.exploration.proxies import post_training, short_training
from tinyq.exploration.proxies.registry import PROXIES, Proxy, find_proxy

__all__ = ["PROXIES", "Proxy", "find_proxy", "post_training", "short_training"]
