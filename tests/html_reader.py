"""Reads an HTML page as a browser would, for the tests."""

import re
from html.parser import HTMLParser

VOID = {'meta', 'img', 'br', 'hr', 'link', 'input'}


class Page(HTMLParser):
    """What a browser would read: texts, tags with attributes, and the cells of every table."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.tables, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == 'table':
            self.tables.append([])
        if tag == 'tr':
            self.tables[-1].append([])
        if tag in ('th', 'td'):
            self.tables[-1][-1].append('')
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, 'tags are closed in their order'

    def handle_data(self, data):
        self.texts.append(data)
        if 'td' in self.open or 'th' in self.open:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return ' '.join(self.texts)


def assert_alone(text):
    """Nothing of the page is fetched from anywhere, and nothing in it runs."""
    page = Page(text)
    assert page.open == [], 'every tag is closed'
    for tag, attributes in page.tags:
        assert tag not in ('script', 'link', 'iframe', 'object', 'embed', 'base'), tag
        for name, value in attributes.items():
            assert not name.startswith('on'), (tag, name)
            if name in ('src', 'href', 'srcset', 'xlink:href', 'action', 'data', 'poster'):
                assert value.startswith(('data:', '#')), (tag, name, value)
            if name == 'style':
                assert 'url' not in value
    styles = re.findall(r'<style>(.*?)</style>', text, re.DOTALL)
    assert styles and all('@import' not in style and 'url(' not in style for style in styles)
    return page
