"""Colours of known data sets."""

from terrazzo.data.recognise.known_colours import KNOWN


def test_no_colour_is_both_a_class_and_ignored_and_names_differ():
    for known in KNOWN:
        assert set(known.classes).isdisjoint(known.ignored)
        assert len(set(known.classes.values())) == len(known.classes)


def test_colours_of_dubai_are_those_of_its_masks(real_data):
    """Tile 1's masks are RGB and hold nothing else."""
    import numpy as np
    from PIL import Image

    known = next(known for known in KNOWN if "Dubai" in known.title)
    for path in sorted((real_data / "dubai" / "Tile 1" / "masks").glob("*.png"))[:3]:
        colours = np.unique(np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3), axis=0)
        assert {tuple(map(int, colour)) for colour in colours} <= {*known.classes, *known.ignored}
