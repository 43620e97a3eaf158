"""Auto-encoders and latent-variable models."""
