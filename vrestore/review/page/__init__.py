"""Self-contained HTML pages: no network, no files beside them, every text escaped by construction.

`markup` writes elements, `document` puts a page together, `plot` and `album` draw and embed; the
pages themselves are `comparison` and `account`.
"""
