"""How the networks were made: footage, damage, losses, the loop.  Never imported by a run."""
