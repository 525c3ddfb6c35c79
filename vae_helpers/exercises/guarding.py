"""Wraps a learner's function for a check: whatever goes wrong in it becomes an exception that says so in words."""

from __future__ import annotations

import functools
import inspect
import linecache
import traceback
from collections.abc import Callable
from typing import Any

from vae_helpers.exercises.blanks import has_gap
from vae_helpers.exercises.definition import Misconception, NotAttempted
from vae_helpers.exercises.isolation import settings_kept, silenced
from vae_helpers.exercises.name_errors import advice


class AnswerRaised(Misconception):
    """The learner's function raised an exception, which is this exception's `__cause__`."""


class Guard:
    """The learner's function as a check calls it.

    A call suppresses what the function prints, undoes what it sets for the whole process, and turns what goes wrong
    into an exception that says so in words.

    Raises when called:
        NotAttempted: it returned None or `...`, or raised NotImplementedError itself.
        AnswerRaised: it raised anything else (an endless recursion and SystemExit included).
        Misconception: it does not take the arguments that it is called with.
    """

    def __init__(self, answer: Callable[..., Any], reference: Callable[..., Any]) -> None:
        functools.update_wrapper(self, answer, updated=())
        self.answer, self.reference = answer, reference
        self.printed = 0  # characters that were suppressed
        self.settings: set[str] = set()  # those that it changed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the learner's function."""
        with silenced() as sink, settings_kept() as changed:
            try:
                result = self.answer(*args, **kwargs)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if self._is_unfinished(error):
                    raise NotAttempted from error
                self._explain_other_arguments(error, args, kwargs)
                raise AnswerRaised(describe(error, _file_of(self.answer))) from error
            finally:
                self.printed += sink.written
        self.settings.update(changed)
        if result is None or result is Ellipsis:
            raise NotAttempted("it returns nothing: is a `return` missing?" if result is None else "")
        return result

    def _explain_other_arguments(self, error: BaseException, args: tuple, kwargs: dict) -> None:
        """Raise a Misconception if the call failed because it did not fit the function's arguments."""
        if not isinstance(error, TypeError) or error.__traceback__.tb_next is not None:
            return  # something within the function raised
        try:
            signature = inspect.signature(self.answer)
        except (TypeError, ValueError):
            return  # some built-in functions have none
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            wanted = inspect.signature(self.reference)
            raise Misconception(f"it takes the arguments {signature}, where {wanted} is asked for") from error

    def _is_unfinished(self, error: BaseException) -> bool:
        if isinstance(error, NotImplementedError):
            frames = traceback.extract_tb(error.__traceback__)
            return frames[-1].filename == _file_of(self.answer)  # torch raises this exception too
        return isinstance(error, Exception) and has_gap(self.answer)


def describe(error: BaseException, file: str | None = None) -> str:
    """The clause "it raises ZeroDivisionError (division by zero) in the line `1 / 0`".

    Args:
        error: an exception that was caught.
        file: the file whose lines are the learner's own; the last of them on the way to the error is quoted.
    """
    if isinstance(error, RecursionError):
        return "it calls itself without end (RecursionError)"
    what = " ".join(str(error).split())
    what = f" ({what[:200]}{'...' * (len(what) > 200)})" if what else ""
    line = ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if file is not None and frame.filename == file:
            line = (frame.line or linecache.getline(frame.filename, frame.lineno or 0)).strip()
            break
    where = f" in the line `{line}`" if line else ""
    cure = advice(error)
    return f"it raises {type(error).__name__}{what}{where}" + (f". {cure}" if cure else "")


def _file_of(answer: Any) -> str | None:
    return getattr(getattr(inspect.unwrap(answer), "__code__", None), "co_filename", None)
