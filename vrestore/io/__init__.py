"""Everything that touches files: FFmpeg through PyAV, pictures through Pillow.

Nothing outside this package imports av (the codec degradations of `train` excepted), and every
exception of these libraries leaves it as one of `vrestore.errors`.

In: `probe` (what a source holds), `decode` (a source as frames), `still` (single pictures), over
`source` (opening), `sequence` (numbered pictures), `tags` (colour, HDR, rotation), `timestamps`
(the rule that repairs times) and `damage` (which pictures never came).  Both ways: `formats`.
"""
