"""Parts of quantizers: levels, steps, scales, gradients, and what training does besides."""
