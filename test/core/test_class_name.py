"""Names that somebody gives now are seen as they are; those that are there stay."""
import pytest

from robot_vision_dl.core.class_name import name_problem, new_name_problem


@pytest.mark.parametrize('name', ['cup', 'Maß 杯', 'می\u200cخواهم', '👩\u200d🔧', '❤\ufe0f', 'e\u0301', 'כוס'])
def test_words_of_all_scripts_are_names(name):
    assert new_name_problem(name) is None


@pytest.mark.parametrize('name', ['cup\u200b', '\ufeffcup', '\u202epuc', '\u2066cup', 'cup\u200f', 'c\u00adup',
                                  '\u2800', '\u3164', '\u200d', '\ufe0f \u200c'])
def test_what_cannot_be_seen_is_refused_in_new_names_only(name):
    assert 'seen' in new_name_problem(name) and name_problem(name) is None


def test_the_rules_of_all_names_hold():
    assert new_name_problem('a\nb') == name_problem('a\nb') is not None
