"""What this documentation is made with, beside Sphinx: links, tables of limits, drawings."""
