"""WHAT is sent: variables, template rendering, links, MIME. A template is compiled once per sender service.

``compose.composer(..)`` gives a Composer; ``Composer.compose(recipient, now)`` gives a finished Message or
raises CannotCompose. ``lint`` says what is wrong with a template before anything is sent.
"""
