"""Sphinx reads this for ``make docs``, and rosdoc2 from a copy of this folder (see ``rosdoc2.yaml``)."""
import sys
from pathlib import Path

import robot_vision_dl

# rosdoc2 executes this text in a configuration of its own beside a copy of this folder; __file__ is then that one.
sys.path.insert(0, str(Path(__file__).resolve().parent / '_ext'))

from absent import absent_modules  # noqa: E402

project = 'robot_vision_dl'
author = 'robot_vision_dl maintainers'
copyright = f'{author}; Apache-2.0'
release = robot_vision_dl.__version__
version = '.'.join(release.split('.')[:2])

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx_copybutton',
              'generated_reference', 'repository_files']
myst_enable_extensions = ['colon_fence', 'deflist', 'fieldlist']
myst_heading_anchors = 4
# The second row is what rosdoc2 puts beside the copy; it is shown as pages of project/.
exclude_patterns = ['_build', '_ext', 'sphinx_output',
                    '__*', 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.rst', 'package.xml']
nitpicky = True
nitpick_ignore_regex = [('py:.*', '.*')]  # types of other packages, and of ours that have no page
autodoc_mock_imports = absent_modules()
autodoc_typehints = 'description'
autodoc_member_order = 'bysource'
smartquotes = False  # '' is an empty text, and -- begins an option

highlight_language = 'text'  # of blocks that name none

html_theme = 'furo'
html_title = f'robot_vision_dl {release}'
html_static_path = ['_static']
html_css_files = ['wide_tables.css']

# `$ ` is the prompt of a console block; what has none is output.
copybutton_prompt_text = '$ '
copybutton_only_copy_prompt_lines = True

# rosdoc2 drops extensions that it does not bring itself, unless told to look whether they are installed.
rosdoc2_settings = {'allow_other_extensions': True}
