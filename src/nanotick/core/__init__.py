"""Floor 0: records, memory, kernels, the arena, rings, the journal and clocks. Imports nothing above it."""
