"""Pure transforms of frames: `push` and `flush`, no threads, no files.

    standards   the numbers of H.273: matrices, primaries, transfer curves, siting
    color       what unspecified tags mean, the standard of the output, adapters for models
    convert     frames to another colour standard or layout of planes
    levels      code values to the unit scale, and back
    dither      the noise that hides a reduction of depth
    resample    separable antialiased resampling with exact phase
    size        how large the output is
    bars        black borders: found, kept away from the network, put back
    cuts        where shots begin
    cutlist     lists of shots as text, and frames marked by them
    place       frames to the device of the next op
    buffers     memory for what ops give

Every op takes frames in order and gives each of them back once, in the same order.
"""
