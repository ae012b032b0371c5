"""The command line: ``coldsend NOUN VERB``, one file per noun."""
