"""How many threads a worker takes, so that several on one machine do not wait for each other."""

from __future__ import annotations

from tinyq.errors import TinyqError


def limit_threads(count: int | None, shared: bool) -> None:
    """Let TensorFlow take so many threads, before it starts.

    Args:
        count: Threads; None for one where trials are shared, and else for TensorFlow's own choice.
        shared: Whether several workers may run on this machine.

    Raises:
        TinyqError: There are no threads, or TensorFlow has started with another number.
    """
    if count is not None and count < 1:
        raise TinyqError(f"{count} threads are none", where="--threads", remedy="give at least 1")
    wanted = 1 if count is None and shared else count
    if wanted is None:
        return
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(wanted)
        tf.config.threading.set_inter_op_parallelism_threads(wanted)
    except RuntimeError:
        if count is not None:
            raise TinyqError(
                "TensorFlow has started with another number of threads",
                where="--threads",
                remedy="start the search in a process of its own, by `tinyq search`",
            ) from None
