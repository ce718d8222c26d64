"""Work that outlives a process: a run as closed segments in a folder beside the output.

sourcepass   one fast look at all of the source: its shots, its times
segments     where the run is cut into segments, from that alone
fingerprint  what must be the same for segments to fit together
journal      an append-only file of what is durable
folder       the job's folder: lock, journal, segments
making       the source to restored segments; keeping: to durable ones; in the threads of one run
crew         which workers a job is given to; cluster: hands out, by Ray; worker: what one does
joining      segments to the finished file
run          the whole of it; status
"""
