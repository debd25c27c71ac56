"""Normalised person names, with the examples of PS3.5 Annexes H, I and J."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver.dicom.persons import component_groups, normalise_person_name, normalised_groups, unaccent

NAMES = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("^= *?éßİが山\u0308\u3099"))
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Müller", "muller"),
        ("MÜLLER", "muller"),
        ("Mu\u0308ller", "muller"),
        ("Weiß", "weiss"),
        ("WEISS", "weiss"),
        ("İLKAY", "ilkay"),
        ("ILGIN", "ilgin"),
        ("ılgın", "ilgin"),
        ("Øster", "oster"),
        ("Łódź", "lodz"),
        ("Æsir", "aesir"),
        ("Buc^Jérôme", "buc^jerome"),
        ("Διονυσιος", "διονυσιοσ"),
        ("ΔΙΟΝΥΣΙΟΣ", "διονυσιοσ"),
        ("Люкceмбypг", "люкceмбypг"),
        ("ＳＭＩＴＨ", "smith"),
        ("O’Neill", "o'neill"),
    ],
)
def test_unaccent(text, folded):
    assert unaccent(text) == folded


def test_half_width_katakana_equals_full_width():
    # PS3.5 H.3.2 encodes the alphabetic group in JIS X 0201.
    assert normalise_person_name("ﾔﾏﾀﾞ^ﾀﾛｳ") == normalise_person_name("ヤマダ^タロウ") == "ヤマダ^タロウ"


def test_voicing_marks_make_letters_and_stay():
    assert normalise_person_name("やまだ") != normalise_person_name("やまた")
    assert normalise_person_name("やまた\u3099") == normalise_person_name("やまだ")


def test_japanese_name_in_three_groups():
    # PS3.5 H.3.1
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert component_groups(name) == ("Yamada^Tarou", "山田^太郎", "やまだ^たろう")
    assert normalised_groups(name) == ("yamada^tarou", "山田^太郎", "やまだ^たろう")


def test_korean_name_in_three_groups():
    # PS3.5 I.2
    name = "Hong^Gildong=洪^吉洞=홍^길동"
    assert normalised_groups(name) == ("hong^gildong", "洪^吉洞", "홍^길동")


def test_a_korean_syllable_stays_one_character():
    conjoining_jamo = "\u1112\u1169\u11bc"
    assert normalise_person_name(conjoining_jamo) == "홍"


def test_chinese_name_in_utf8():
    # PS3.5 J.1
    assert normalised_groups("Wang^XiaoDong=王^小東") == ("wang^xiaodong", "王^小東", "")


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("DOE^JOHN^^^", "doe^john"),
        ("DOE^JOHN==", "doe^john"),
        ("DOE^JOHN^=^=", "doe^john"),
        ("DOE^JOHN  Q", "doe^john q"),
        (" DOE ^ JOHN ", "doe^john"),
        ("DOE\u3000JOHN", "doe john"),
        ("=山田", "=山田"),
        ("^JOHN", "^john"),
        ("DOE\0", "doe"),
        ("^^^^", ""),
        ("==", ""),
        ("", ""),
        ("A=B=C=D", "a=b=c"),
    ],
)
def test_normalise_person_name(text, normalised):
    assert normalise_person_name(text) == normalised


def test_wild_cards_pass_and_no_other_character_becomes_one():
    assert normalise_person_name("MÜL*^J?N") == "mul*^j?n"
    for text in ("＊", "？", "＾", "＝", "≠", "⁇", "﹡"):
        assert not set(unaccent(text)) & set("*?^="), text


@given(NAMES)
def test_normalising_twice_changes_nothing(text):
    once = normalise_person_name(text)
    assert normalise_person_name(once) == once


@given(st.characters(exclude_categories=["Cs"]))
def test_folding_any_character_twice_changes_nothing(character):
    assert unaccent(unaccent(character)) == unaccent(character)


@given(NAMES)
def test_case_does_not_matter(text):
    assert normalise_person_name(text.upper().lower()) == normalise_person_name(text.lower())


@given(NAMES)
def test_groups_carry_no_delimiter_and_no_needless_caret(text):
    for group in normalised_groups(text):
        assert "=" not in group
        assert not group.endswith("^")
        assert "  " not in group
