"""What the module MRI Synthesis is made of, apart from its widget.

`library` and `job` know nothing of Slicer; `volumes` and `logic` work on nodes of a scene and need no window.
"""
