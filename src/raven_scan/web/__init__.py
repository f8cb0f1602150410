"""Screens: what users see in a browser. They call services, and hold no rules.

One file a screen; `pages.py` has their addresses. Each visit has a `Viewer`, who asks services as the signed-in user,
is recognised anew at each question, and is told errors in a sentence. What all screens look like is in `frame.py` and
`static/`; what they say is in English in the code and in other languages in `texts/`.
"""
