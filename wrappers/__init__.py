"""Environment wrappers whose observations are the latents of a learner trained online."""
