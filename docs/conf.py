"""Sphinx's settings for the site. `make site` lays its pages out and builds them: tools/build_site.py."""

import importlib.metadata

from tools import build_site

project = html_title = "Variational autoencoders for image synthesis"
author = "the authors of the course"
language = "en-GB"
extensions = ["myst_nb", "sphinx.ext.githubpages"]

html_theme = "sphinx_book_theme"
html_theme_options = {
    "use_fullscreen_button": False,
    "extra_footer": "Code: MIT. Prose and figures: CC BY 4.0.",
    "search_bar_text": "Search the course",
    "navbar_persistent": [],  # one search field, in the sidebar, is enough
}
html_context = {"default_mode": "auto"}
html_show_copyright = False
html_use_index = False

# One file with all of TeX, its letters drawn as curves: no fonts to fetch. The rest of the package is left out.
mathjax_path = "tex-svg-full.js"
mathjax4_config = {"svg": {"scale": 0.92}}  # beside the theme's letters; read by version 3 as well
mathjax = importlib.metadata.distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")
html_static_path = ["site", str(mathjax / mathjax_path)]
html_css_files = ["style.css"]

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_dmath_double_inline = True
myst_heading_anchors = 6
highlight_language = "none"


def setup(app) -> None:
    """Called by Sphinx: where the course is published, and what is changed on its pages."""
    app.add_config_value("course_address", None, "html", types=(str, type(None)))
    app.add_config_value("course_branch", "main", "html")
    app.connect("source-read", build_site.prepare_page)
    app.connect("doctree-read", build_site.whole_formulas)
    app.connect("doctree-read", build_site.formulas_with_their_neighbours)
    app.connect("html-page-context", build_site.name_language)
