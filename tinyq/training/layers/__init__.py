"""One file a layer: its class, how ``quantize`` builds it, and what it becomes in the graph."""
