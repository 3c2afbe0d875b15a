"""Tests: what is delivered beside the package, the image, units and manifests."""
