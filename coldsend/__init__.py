"""coldsend: a batch sending engine for cold outreach e-mail.

The folders tell the flow: contacts -> audience -> planning -> pacing -> composing -> channels, driven by
delivery; docs/flow.md walks through it.
"""

__version__ = "0.1.0"
