"""Concurrency: channels, stages, the group that owns their threads, buffers, devices.

Knows nothing of video: items are opaque, and only `device` asks them for their tensors.
"""
