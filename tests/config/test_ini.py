"""The INI grammar: the same as configparser's wherever that one reads a text."""

from __future__ import annotations

import configparser

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from medserver.config.ini import read_ini, split_lines

WORDS = st.text(alphabet="abcXYZ019_.-/:,;# ", min_size=1, max_size=12)
LINES = st.one_of(
    st.builds("[{}]".format, st.text(alphabet="ab c", min_size=1, max_size=5).filter(str.strip)),
    st.builds("{} = {}".format, st.text(alphabet="abcD_", min_size=1, max_size=6), WORDS),
    st.builds("{}={} ; comment".format, st.text(alphabet="abcD_", min_size=1, max_size=6), WORDS),
    st.builds("; {}".format, WORDS),
    st.builds("    {}".format, WORDS),
    st.just(""),
)


def _with_configparser(text: str) -> dict[str, dict[str, str]] | None:
    """Return the sections as configparser reads them; None if it refuses."""
    parser = configparser.ConfigParser(
        interpolation=None,
        delimiters=("=",),
        comment_prefixes=("#", ";"),
        inline_comment_prefixes=(";",),
        default_section="\0",
        empty_lines_in_values=False,
    )
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    # A value that begins on its second line has an empty first one for configparser.
    return {
        " ".join(name.split()): {option: text.strip("\n") for option, text in parser[name].items()}
        for name in parser.sections()
    }


@settings(max_examples=40)  # of every six that are made five are refused by one or the other
@given(st.lists(LINES, max_size=12))
def test_agrees_with_configparser(lines):
    ini = read_ini("\n".join(lines))
    assume(not ini.problems)
    expected = _with_configparser("\n".join(lines))
    assume(expected is not None and len(expected) == len(ini.sections))
    read = {
        section.name: {o.name: o.text for o in section.options.values()} for section in ini.sections.values()
    }
    assert read == expected


def test_line_numbers_and_order():
    ini = read_ini(
        "; head\r\n[node]\r\nport = 1 ; why\r\n\r\n[ae  A B]\r\nallow = echo,\r\n    store\r\n; end\r\n"
    )
    assert not ini.problems
    assert list(ini.sections) == ["node", "ae A B"]
    assert (ini.sections["node"].options["port"].text, ini.sections["node"].options["port"].line) == ("1", 3)
    section = ini.sections["ae A B"]
    assert (section.line, section.end_line, section.options["allow"].text) == (5, 7, "echo,\nstore")


def test_every_mistake_is_reported_with_its_line():
    ini = read_ini("port = 1\n[node\n[node]\nport\nport = 1\nPORT = 2\n[node]\na = \x1b[31m\n")
    assert [line for line, _ in ini.problems] == [1, 2, 4, 6, 7, 8]
    assert "line 5" in dict(ini.problems)[6]
    assert "line 3" in dict(ini.problems)[7]


def test_a_wrong_section_does_not_lend_its_options_to_the_one_before():
    ini = read_ini("[node]\nport = 1\n[ae [x]\nae_title = X\n")
    assert list(ini.sections["node"].options) == ["port"]


def test_percent_signs_and_default_sections_mean_nothing():
    ini = read_ini("[DEFAULT]\na = 1\n[index]\nurl = postgresql://a:p%40b%s@h/d\n")
    assert ini.sections["index"].options["url"].text == "postgresql://a:p%40b%s@h/d"
    assert "a" not in ini.sections["index"].options


@given(st.text(alphabet="a\r\n\x0b\x0c\x85\u2028", max_size=20))
def test_split_lines_loses_nothing(text):
    assert "".join(split_lines(text)) == text
    assert all("\n" not in line[:-1] for line in split_lines(text))
