"""Single-image networks that others published: their files, how they run, how pictures are cut."""
