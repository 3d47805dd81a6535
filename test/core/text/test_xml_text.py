"""Text within elements of XML; what is refused is shown with the files that are read so."""
from robot_vision_dl.core.text.xml_text import TEXT, xml_elements


def test_text_comes_with_its_place_and_only_when_it_is_asked_for():
    document = '<a>\n <b c="1">x &lt; y<!-- no --></b>\n <d> <![CDATA[<z>]]></d></a>'
    assert [(one.name, one.attributes.get(TEXT), one.path) for one in xml_elements(document, 'it', with_text=True)] == [
        ('a', None, ()), ('b', None, ('a',)), (TEXT, 'x < y', ('a', 'b')), ('d', None, ('a',)),
        (TEXT, ' <z>', ('a', 'd'))]
    assert [one.name for one in xml_elements(document, 'it')] == ['a', 'b', 'd']


def test_long_text_is_whole_when_it_is_put_together():
    text = 'ä' * 100_000
    found = list(xml_elements(f'<a>{text}</a>', 'it', with_text=True))[1:]
    assert ''.join(one.attributes[TEXT] for one in found) == text and {one.path for one in found} == {('a',)}
