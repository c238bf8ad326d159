"""The documentation: ``make docs`` builds the site, ``make man`` the manual pages."""

import ccert

project = "ccert"
author = "the ccert developers"
version = release = ccert.__version__
today = "2026-11-27"  # of the manual pages: the same input gives the same octets

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["build", "man"]
nitpicky = True  # a name that is referred to must exist
nitpick_ignore_regex = [
    ("py:.*", r"(typing|aiosmtpd|ssl|cryptography|x509|collections)\..*"),  # not fetched in CI
    ("py:.*", r"(ssl|os|int|str|bytes|bool|float|None|dict|list|tuple|datetime)\b.*"),
    (
        "py:class",
        r"StrPath|CAData|Chain|Password|ClientCerts|TrustServerCcerts|Session|Envelope|SMTP",
    ),
    ("py:class", r"Any|Literal.*|Sequence.*|Mapping.*|enum\.Enum|optional"),
]

myst_enable_extensions = ["alert", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"ccert {release}"
html_copy_source = False
html_show_sphinx = False

man_pages = [
    (f"reference/{name}", name, title, "", section)
    for name, title, section in (
        ("ccert", "trust TLS client certificates that are for servers only", 1),
        ("ccert-check", "would a server trust these chains, and why not?", 1),
        ("ccert-serve", "a mail server that knows its clients by certificate", 8),
        ("ccert.cf", "configuration of ccert serve", 5),
    )
]
man_show_urls = False
