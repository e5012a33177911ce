"""Agents that act on the latents: Stable-Baselines3 models bundled with their encoder."""
