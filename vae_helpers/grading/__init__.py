"""For teachers: a class of notebooks in, a table out; and the same marks through nbgrader.

`grade_folder.py` runs the submissions. Each runs as `run_submission.py`, shut into a folder by `sandbox.py` and ended
at a limit by `watchdog.py`. `nbgrading.py` makes a course folder for nbgrader.
"""
