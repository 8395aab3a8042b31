"""Corpora on disk: samples, readers of releases, pictures and videos, and batches made of them."""
