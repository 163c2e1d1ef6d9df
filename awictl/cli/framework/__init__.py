"""What every command is built from: the decorator, global options, output, tables, and error reporting.

Nothing here knows a particular command. `session_document` holds the rendering that several nouns share.
"""
