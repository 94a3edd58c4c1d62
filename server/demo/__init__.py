"""The demonstration: a measured day of a real inverter replayed through real firmware, outages included, down to one proven reading."""
