"""Which part a block was dealt to is kept as text, and only around the image that needs it."""

from terrazzo.data.areas.dealt import DealtBlocks


def test_only_what_is_near_is_kept() -> None:
    blocks = {(0, 0): 0, (0, 1): 1, (1, 0): 2, (-1, 0): 1, (5, 5): 0}
    dealt = DealtBlocks.around(blocks, {(0, 0), (0, 1)}, reach=1)
    assert (dealt.row, dealt.column) == (-1, -1)
    assert dealt.parts == "- 1 - -;- 0 1 -;- 2 - -"


def test_parts_are_found_by_block() -> None:
    dealt = DealtBlocks(row=-1, column=3, parts="0 -;- 11")
    names = tuple(f"fold{number}" for number in range(12))
    assert dealt.part((-1, 3), names) == "fold0"
    assert dealt.part((0, 4), names) == "fold11"
    assert dealt.part((-1, 4), names) == ""
    assert dealt.part((7, 7), names) == ""


def test_text_and_blocks_say_the_same() -> None:
    blocks = {(row, column): (row * 3 + column) % 4 for row in range(3) for column in range(3)}
    dealt = DealtBlocks.around(blocks, set(blocks), reach=0)
    again = DealtBlocks.model_validate(dealt.model_dump())
    assert {block: again.part(block, ("0", "1", "2", "3")) for block in blocks} == {
        block: str(part) for block, part in blocks.items()
    }
