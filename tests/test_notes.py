"""The notes of all stages in one book."""

from vrestore.notes import NoteBook, ShotNote


class _Op:
    def __init__(self, *firsts: int, stage: str) -> None:
        self.notes = [ShotNote(stage=stage, first=first, frames=1) for first in firsts]


def test_notes_come_shot_by_shot_in_the_order_of_the_stages():
    book = NoteBook()
    early, late = book.of(_Op(0, 20, stage="deflicker")), book.of(_Op(0, 10, stage="dirt"))
    early.notes.append(ShotNote(stage="deflicker", first=10, frames=1))
    told = [(note.first, note.stage) for note in book.notes()]
    assert told == [
        (0, "deflicker"), (0, "dirt"), (10, "deflicker"), (10, "dirt"), (20, "deflicker"),
    ]  # fmt: skip
    assert late.notes[0] in book.notes()
