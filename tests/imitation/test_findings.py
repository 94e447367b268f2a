"""Findings read from texts: words, negation, sides, counts and sizes, doubt, history and comparison."""

import pytest

from helpers.fact_bank import BANK
from vrft_aug.imitation.findings import read_findings
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.knowledge.bank_schema import KnowledgeBank

SHORT = {
    "m": "microaneurysms",
    "h": "haemorrhages",
    "e": "hard exudates",
    "c": "cotton wool spots",
    "v": "new vessels",
    "M": "mass",
    "o": "opacity",
}


@pytest.mark.parametrize(
    ("text", "present", "absent"),
    [
        ("Microaneurysms are seen.", "m", ""),
        ("a single microaneurysm", "m", ""),
        ("SMALL DARK RED DOTS", "m", ""),
        ("small, dark red dots", "", ""),
        ("microaneurysmatic", "", ""),
        ("", "", ""),
        ("... !", "", ""),
        ("Hemorrhage and neovascularization", "hv", ""),
        ("cotton-wool spots", "c", ""),
        ("masses, opacities", "Mo", ""),
        ("No haemorrhages, exudates or new vessels; a few microaneurysms.", "m", "hev"),
        ("There is no hemorrhage but a hard exudate is seen.", "e", "h"),
        ("Neither haemorrhages nor exudates are visible.", "", "he"),
        ("Haemorrhages and exudates are absent, microaneurysms are seen.", "m", "he"),
        ("Microaneurysms are seen, haemorrhages are absent.", "m", "h"),
        ("Haemorrhages, exudates and new vessels are absent.", "", "hev"),
        ("Absence of new vessels. Cotton wool spots present.", "c", "v"),
        ("no evidence of bleeding", "", "h"),
        ("New vessels have been ruled out.", "", "v"),
        ("New vessels cannot be ruled out.", "", ""),
        ("We must rule out new vessels.", "", ""),
        ("Not only microaneurysms but also bleeding", "mh", ""),
        ("There's no absence of haemorrhages.", "h", ""),
        ("not without exudates", "e", ""),
        ("without haemorrhages, some exudates", "e", "h"),
        ("I don't see any haemorrhages.", "", "h"),
        ("Haemorrhages cannot be seen, exudates can.", "e", "h"),
        ("haemorrhages: none. exudates: yes", "e", "h"),
        ("masses and opacities, no other lesions", "Mo", ""),
        ("no haemorrhages with cotton wool spots", "c", "h"),
        ("no haemorrhages are seen and exudates are present", "e", "h"),
        ("free of exudates", "", "e"),
        ("no haemorrhages, microaneurysms only", "m", "h"),
        ("w/o exudates", "", "e"),
        ("Exudates aren’t seen", "", "e"),
        ("no doubt exudates", "e", ""),
        ("exudates\nno haemorrhages\nmicroaneurysms", "em", "h"),
        ("exudates. No exudates.", "e", "e"),
        ("perhaps exudates", "e", ""),
        ("nothing but exudates", "e", ""),
        ("ехudates", "", ""),
        ("ex\u200budates", "", ""),
        ("ｅｘｕｄａｔｅｓ", "e", ""),
    ],
)
def test_what_a_text_states(text: str, present: str, absent: str) -> None:
    found = read_findings(text, BANK)
    assert found.present == {SHORT[letter] for letter in present}
    assert found.absent == {SHORT[letter] for letter in absent}


@pytest.mark.parametrize(
    "piece", ["is ", "no ", "no exudates ", "exudates absent ", "can not be ", "exudates, ", "a"]
)
def test_long_texts_are_read_at_once(piece: str) -> None:
    read_findings(piece * 5_000, BANK)  # what grows faster than the text would not end here


SIDED = KnowledgeBank.model_validate(
    {
        "name": "film", "title": "t", "author": "a", "reviewed": False, "sources": [], "classes": {},
        "findings": {
            "opacity": {"names": ["infiltrate"], "narrower": ["lobar consolidation"], "broader": ["shadow"]},
            "opacity over 3 cm": {"measure": {"of": ["opacity"], "more_than": 3, "unit": "cm"}},
            "effusion": [],
            "dots": [],
            "more than 20 dots in each quadrant": {
                "measure": {"of": ["dots"], "more_than": 20, "unit": "each quadrant"}
            },
            "beading": [],
            "beading in two quadrants": {"measure": {"of": ["beading"], "at_least": 2, "unit": "quadrant"}},
        },
    }
)  # fmt: skip
LARGE, MANY, WIDE = "opacity over 3 cm", "more than 20 dots in each quadrant", "beading in two quadrants"


@pytest.mark.parametrize(
    ("text", "present", "absent"),
    [
        ("Effusion on the left, no effusion on the right.", {"effusion"}, set()),
        ("No effusion on the right.", set(), set()),  # one side is not both
        ("No effusion on either side.", set(), {"effusion"}),
        ("No effusion on the left. No effusion on the right.", set(), {"effusion"}),
        ("Effusion, but no effusion in the fissure.", {"effusion"}, set()),
        ("An opacity of 5 cm.", {"opacity", LARGE}, set()),
        ("An opacity of 28 mm.", {"opacity"}, {LARGE}),
        ("An opacity of less than 2 cm.", {"opacity"}, {LARGE}),
        ("An opacity of more than 2 cm.", {"opacity"}, set()),  # may be more than 3
        ("No opacity of more than 3 cm.", set(), {LARGE}),  # nothing is said of small ones
        ("An opacity 3 cm from the hilum, without effusion.", {"opacity"}, {LARGE, "effusion"}),
        ("More than 20 dots in each quadrant.", {MANY}, set()),  # by its name: that dots are there follows
        ("Dots, more than 20 in each quadrant.", {"dots", MANY}, set()),
        ("Dots in all four quadrants, fewer than 20 in each.", {"dots"}, {MANY}),
        ("Dots in all four quadrants, about 10 in each, and beading in one quadrant.",
         {"dots", "beading"}, {MANY, WIDE}),
        ("Beading in two quadrants.", {WIDE}, set()),
        ("Beading of veins in 3 quadrants.", {"beading", WIDE}, set()),
        ("Lobar consolidation.", {"opacity"}, set()),
        ("No lobar consolidation.", set(), set()),  # another opacity may be there
        ("A shadow.", set(), set()),
        ("No shadow.", set(), {"opacity"}),
        ("Unlike effusion, which would blunt the angle, this is an infiltrate.", {"opacity"}, set()),
        ("The effusion has resolved.", set(), {"effusion"}),
        ("Effusion is no longer seen.", set(), {"effusion"}),
        ("History of effusion.", set(), set()),
        ("The previous effusion is unchanged.", {"effusion"}, set()),
        ("An infiltrate rather than an effusion.", {"opacity"}, {"effusion"}),
        ("Few or no dots.", set(), set()),
        ("Dots: few or none.", set(), set()),
    ],
)  # fmt: skip
def test_sides_sizes_breadth_history_and_comparison(text: str, present: set[str], absent: set[str]) -> None:
    found = read_findings(text, SIDED)
    assert (set(found.present), set(found.absent)) == (present, absent)


def test_a_mention_says_where_and_why() -> None:
    text = "The naïve reader: no small dark red dots, bleeding."
    (dots, _) = read_findings(text, BANK).mentions
    assert text[dots.start : dots.end] == "small dark red dots"
    assert (dots.finding, dots.polarity, dots.why) == ("microaneurysms", "absent", "denied before it")


@pytest.mark.parametrize("name", ["idrid", "busi", "chestmnist"])
def test_shipped_banks_read_their_own_findings(name: str) -> None:
    bank = load_bank(name)
    for finding, known in bank.findings.items():
        for term in (finding, *known.names, *known.narrower):
            assert finding in {one.finding for one in read_findings(f"I see {term}.", bank).mentions}, term
