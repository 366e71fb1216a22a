"""Reads params.yaml: nested maps of numbers and text, with the standard library alone."""


def load(path="params.yaml"):
    """Returns the file as nested dictionaries.

    Knows the part of YAML that the file uses: maps by indentation, one scalar a line, comments.
    """
    root = {}
    open_maps = [(-1, root)]
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            text = line.split("#", 1)[0].rstrip()
            if not text:
                continue
            indent = len(text) - len(text.lstrip())
            key, _, value = text.strip().partition(":")
            while open_maps[-1][0] >= indent:
                open_maps.pop()
            parent = open_maps[-1][1]
            if value.strip():
                parent[key] = scalar(value.strip())
            else:
                parent[key] = {}
                open_maps.append((indent, parent[key]))
    return root


def scalar(text):
    """Returns an integer, a float, or the text without its quotes."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text.strip("'\"")
