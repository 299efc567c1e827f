"""What goes wrong, as a message on the page: never a traceback, and the server goes on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import ParamSpec, TypeVar

import gradio as gr

P = ParamSpec("P")
R = TypeVar("R")
SECONDS = 8


def spoken(work: Callable[P, R]) -> Callable[P, R]:
    """``work`` whose ValueErrors and UserWarnings are shown to the visitor in one line."""

    @wraps(work)
    def told(*given: P.args, **named: P.kwargs) -> R:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                result = work(*given, **named)
            except ValueError as error:
                raise _shown(str(error)) from None
            except gr.Error:
                raise
            except Exception:
                logging.getLogger(__name__).exception("the page could not answer")
                raise _shown("this failed inside textok: its terminal says why") from None
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                note(str(warning.message))
        return result

    return told


def note(words: str) -> None:
    """Tell the visitor something that is no mistake."""
    gr.Info(_line(words), duration=SECONDS, title="Note")


def _shown(words: str) -> gr.Error:
    return gr.Error(_line(words), duration=SECONDS, print_exception=False, title="Not done")


def _line(words: str) -> str:
    line = " ".join(words.split())
    return escape(line[:1].upper() + line[1:], quote=False)
