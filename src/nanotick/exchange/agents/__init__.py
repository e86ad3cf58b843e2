"""Agents that make the simulated exchange a living market: order flow, traders, and the latent world they live in."""
