"""A local Halyk ePay 2.0: it takes tokens, shows the pay page, decides by test card and sends postlinks.

Import what you need from the module that owns it: `mock_epay.server.running` starts a sandbox inside a test.
"""

__version__ = "0.1.0"
